// Package routing decides which peers to ask. Membership keeps a live view of the network with its own failure
// detector; Lookup finds what the view does not hold, and Kademlia speaks with peers of other programs.
//
// The view is made in three steps. Package swim decides, as a state machine without I/O, whom to probe and who is alive.
// Membership carries its decisions out over libp2p: it probes, passes on what peers say of themselves, and exchanges whole
// memberships now and then. Everything else in the program reads the View that results, through the interface Viewer.
//
// # Large networks
//
// Up to 128 members (swim.Timing.LargeNetwork), everybody keeps a connection to everybody. Above, each keeps connections to 64 of them, its neighbours, and probes, gossips
// and exchanges claims mostly with these; others are probed now and then, and when somebody suspects them. Connections that nobody uses are given up.
//
// Above Config.MaxView members, the view is partial: a node keeps the half of that number that is nearest to it by XOR, and a sample of all others. A search (search.go)
// is Kademlia's iterative lookup over the membership protocol: it asks ever nearer peers for the claims of those they know nearest to a point. It ends when the
// nearest it has heard of have answered, so that it finds exactly the nearest peers that live, provided that peers know their neighbours, for which each node with a partial view
// looks its own place up now and then (upkeep.go).
package routing
