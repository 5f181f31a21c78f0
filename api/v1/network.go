package v1

import "time"

// Topology is the answer of GET /v1/network: who is there, and who is connected to whom, as far as this node knows.
type Topology struct {
	Self    string `json:"self" doc:"Peer id of this node"`
	Peers   []Peer `json:"peers" nullable:"false" doc:"Every peer known and the node itself, sorted by id"`
	Links   []Link `json:"links" nullable:"false" doc:"Who is connected to whom: this node's connections, and what others say of the relays that they are reached through"`
	Mesh    bool   `json:"mesh" doc:"The network is so small that peers that are alive are all connected to one another; links tells of this node's connections alone"`
	Partial bool   `json:"partial" doc:"The network is larger than what this node keeps in view"`
}

// Kinds of links.
const (
	// LinkConnection is a connection of this node.
	LinkConnection = "connection"
	// LinkRelay is between a peer and a relay that it says it is reached through.
	LinkRelay = "relay"
)

// Link is a connection between two peers.
type Link struct {
	From       string   `json:"from" doc:"Peer id"`
	To         string   `json:"to" doc:"Peer id"`
	Kind       string   `json:"kind" enum:"connection,relay" doc:"connection: of this node, from it to the other; relay: a peer says that it is reached through a relay"`
	Transports []string `json:"transports,omitempty" nullable:"false" doc:"Of a connection: as of a peer"`
	Relayed    bool     `json:"relayed,omitempty" doc:"Of a connection: it leads through other peers alone"`
	RTTMicros  int64    `json:"rtt_us,omitempty" doc:"Of a connection: smoothed round trip in microseconds"`
}

// What a NetworkEvent tells.
const (
	// NetworkState: all that the others tell changes of. A stream begins with it unless it goes on from a cursor that is good.
	NetworkState = "state"
	// NetworkPeer: a peer is there, or changed.
	NetworkPeer = "peer"
	// NetworkGone: a peer is forgotten.
	NetworkGone = "gone"
	// NetworkRecords: what the node holds, and how that fares, changed.
	NetworkRecords = "records"
	// NetworkLedger: how the ledger fares changed in more than its height.
	NetworkLedger = "ledger"
	// NetworkBlock: there is a new block.
	NetworkBlock = "block"
	// NetworkCursor: nothing but a newer cursor. It is no event of the stream, which carries cursors as ids of events.
	NetworkCursor = "cursor"
)

// NetworkEvent is the data of an event of GET /v1/network/events.
type NetworkEvent struct {
	Event   string        `json:"event" enum:"state,peer,gone,records,ledger,block" doc:"What it tells; also the type of the event"`
	Time    time.Time     `json:"time" doc:"When this node saw it"`
	State   *NetworkWhole `json:"state,omitempty" doc:"Of state: everything; what was told before it is void"`
	Peer    *Peer         `json:"peer,omitempty" doc:"Of peer: the peer as it is now. That its round trip or the time it was seen last changes a little is not told"`
	Links   []Link        `json:"links,omitempty" nullable:"false" doc:"Of peer: its links, in place of those told before"`
	ID      string        `json:"id,omitempty" doc:"Of gone: peer id"`
	Records *Records      `json:"records,omitempty" doc:"Of records"`
	Ledger  *Ledger       `json:"ledger,omitempty" doc:"Of ledger"`
	Block   *BlockBrief   `json:"block,omitempty" doc:"Of block"`
	// Cursor is from where a watch goes on after the event; it travels as the event's id.
	Cursor string `json:"-"`
}

// NetworkWhole is all that a stream of network events tells changes of.
type NetworkWhole struct {
	Topology
	Records Records `json:"records"`
	Ledger  *Ledger `json:"ledger,omitempty" doc:"Absent where the node keeps none"`
}

// BlockBrief is a block without its transactions.
type BlockBrief struct {
	Height       int64     `json:"height"`
	Time         time.Time `json:"time,omitzero" doc:"Absent of a block without transactions"`
	Transactions int       `json:"transactions" doc:"How many there are in it"`
}
