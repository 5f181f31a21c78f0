// Package gate is what CometBFT sees of the node's libp2p host: enough to reach the ledger's members, and nothing that could harm the host's other users.
//
// CometBFT's package lp2p takes a host for its own. It has no handshake, so that whoever opens a stream is a peer; its protocol ids are the same in every
// network; it closes the connection to a peer that misbehaves, and the host when it stops; it sets no deadlines, and opens as many streams as it has
// messages, which costs more than the messages. The gate gives it a host that mends all that:
//
//   - Protocol ids carry the network's id on the wire, CometBFT's own on its side.
//   - A peer's streams pass while it may take part, which is asked anew for each, and while there is a session with it: a stream on which both sides
//     have said which run of their engine this is. A peer whose run ends, or that comes back with another run, is reported as gone first.
//     CometBFT never sends twice what it believes a peer to have; a peer that lost its memory must not be taken for the one before.
//   - A session moves from a relayed connection to a direct one, once there is one, without CometBFT taking the peer for gone.
//   - Messages go over one long-lived stream for each class of them, in each direction (class.go has the classes and what is on the wire): those of one class
//     keep their order, and never wait for another's. What CometBFT takes for a stream is one message. A session ends with the first of its streams that breaks,
//     or whose peer does not read: CometBFT would never send again what was lost.
//   - Messages on their way to a peer, their length, and the streams of a peer are bounded. A message that says it is larger than allowed is refused before
//     anybody makes room for it.
//   - Peers of the release before have a stream for each message (single.go, stream.go, order.go). Those have deadlines, and a bound for each peer in each direction.
//     The sender counts such a stream until the receiver has read it, so that those who keep to the bound never run into the receiver's. Their order is kept by numbers.
//   - Closing a peer resets CometBFT's streams to it and its session; closing the network or the peerstore does nothing.
//   - What CometBFT notes about peers stays in the gate, and each peer has an address of a form that CometBFT can read. It never dials.
package gate
