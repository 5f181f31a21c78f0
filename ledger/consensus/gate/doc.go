// Package gate is what CometBFT sees of the node's libp2p host: enough to reach the ledger's members, and nothing that could harm the host's other users.
//
// CometBFT's package lp2p takes a host for its own. It has no handshake, so that whoever opens a stream is a peer; its protocol ids are the same in every
// network; it closes the connection to a peer that misbehaves, and the host when it stops; it sets no deadlines, and opens as many streams as it has
// messages. The gate gives it a host that mends all that:
//
//   - Protocol ids carry the network's id on the wire, CometBFT's own on its side.
//   - A peer's streams pass while it may take part, which is asked anew for each, and while there is a session with it: a stream on which both sides
//     have said which run of their engine this is. A peer whose run ends, or that comes back with another run, is reported as gone first.
//     CometBFT never sends twice what it believes a peer to have; a peer that lost its memory must not be taken for the one before.
//   - A session moves from a relayed connection to a direct one, once there is one, without CometBFT taking the peer for gone.
//   - Streams have deadlines, and a bound for each peer in each direction. The sender counts a stream until the receiver has read it, so that those who
//     keep to the bound never run into the receiver's. A message that says it is larger than allowed is refused before anybody makes room for it.
//   - Messages of one channel are handed over in the order in which they were sent, though each has a stream of its own.
//   - Closing a peer resets CometBFT's streams to it and its session; closing the network or the peerstore does nothing.
//   - What CometBFT notes about peers stays in the gate, and each peer has an address of a form that CometBFT can read. It never dials.
package gate
