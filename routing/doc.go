// Package routing decides which peers to ask. Membership keeps a live view of the network with its own failure
// detector; Kademlia looks up what the view does not hold.
//
// The view is made in three steps. Package swim decides, as a state machine without I/O, whom to probe and who is alive.
// Membership carries its decisions out over libp2p: it probes, passes on what peers say of themselves, and exchanges whole
// memberships now and then. Everything else in the program reads the View that results, through the interface Viewer.
package routing
