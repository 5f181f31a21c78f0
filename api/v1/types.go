// Package v1 holds the JSON documents of version 1 of the HTTP API, shared by the server and its Go client. Amounts
// and versions that may pass 2^53 are strings.
package v1

import "time"

// Node is the answer of GET /v1/node: what this node is and how it fares.
type Node struct {
	ID        string    `json:"id" doc:"Peer id of this node"`
	Network   Network   `json:"network"`
	Zone      string    `json:"zone,omitempty" doc:"Failure domain that the node announces"`
	Version   string    `json:"version" doc:"Version of the program"`
	Started   time.Time `json:"started"`
	Addresses []string  `json:"addresses" nullable:"false" doc:"Multiaddrs at which other peers reach this node, each ending in its peer id"`
	// Reachability says whether others can dial the node, and how they reach it.
	Reachability *Reachability `json:"reachability,omitempty"`
	Peers        Counts        `json:"peers"`
	Records      Records       `json:"records"`
	Ready        bool          `json:"ready"`
	NotReady     string        `json:"not_ready,omitempty" doc:"Why the node is not ready"`
}

// Network names the network that a node belongs to.
type Network struct {
	Name string `json:"name"`
	ID   string `json:"id" doc:"52 base32 characters"`
	Open bool   `json:"open" doc:"True when everybody who knows the name may enter"`
}

// Reachability is how a node can be reached.
type Reachability struct {
	State     string             `json:"state" enum:"reachable,unreachable,unknown" doc:"Whether the peers that were asked can dial the node"`
	Addresses []ReachableAddress `json:"addresses" nullable:"false" doc:"Addresses that were asked about"`
	NATTCP    string             `json:"nat_tcp" enum:"none,endpoint-independent,endpoint-dependent,unknown" doc:"What a NAT makes of the node's TCP port, by what peers see"`
	NATQUIC   string             `json:"nat_quic" enum:"none,endpoint-independent,endpoint-dependent,unknown" doc:"What a NAT makes of the node's UDP port, by what peers see"`
	Relays    []string           `json:"relays" nullable:"false" doc:"Ids of the peers through which the node is reached"`
	Relaying  *Relaying          `json:"relaying,omitempty" doc:"What the node relays for others; absent: it does not"`
	// What became of relayed connections since the node started.
	HolePunches       int64 `json:"hole_punches" doc:"Hole punches that made a direct connection"`
	HolePunchesFailed int64 `json:"hole_punches_failed" doc:"Hole punches that did not"`
}

// ReachableAddress is an address that others were asked to dial.
type ReachableAddress struct {
	Address  string `json:"address"`
	State    string `json:"state" enum:"reachable,unreachable,unknown"`
	Observed bool   `json:"observed,omitempty" doc:"Others see the node at the address; it does not have it itself"`
}

// Relaying is what a node relays for others.
type Relaying struct {
	Reservations int   `json:"reservations" doc:"Peers that are reached through the node"`
	Circuits     int   `json:"circuits" doc:"Relayed connections now"`
	Bytes        int64 `json:"bytes" doc:"Bytes relayed since the node began to relay"`
}

// Counts is how many peers, this node not included, are in each state.
type Counts struct {
	Alive   int `json:"alive"`
	Suspect int `json:"suspect"`
	Away    int `json:"away"`
	Dead    int `json:"dead"`
}

// Records sums up what this node's disk holds.
type Records struct {
	Stored    int64 `json:"stored" doc:"Records on this node's disk, tombstones not included"`
	DiskBytes int64 `json:"disk_bytes" doc:"Bytes used on disk"`
	Wanted    int   `json:"wanted" doc:"Copies wanted of each record now: the configured number or the number of peers known, whichever is less"`
	Copies    int   `json:"copies" doc:"Copies configured"`
	Quorum    int   `json:"quorum" doc:"Copies that must be on disk before a write is acknowledged"`
	// The rest tells how the node keeps what it is charged with.
	QuotaBytes   int64 `json:"quota_bytes,omitempty" doc:"Bytes that records may use on disk; over it new writes are refused; absent: no quota"`
	ShardsHeld   int   `json:"shards_held" doc:"Shards, of 4,096, of which this node is a holder"`
	ShardsSynced int   `json:"shards_synced" doc:"Shards held that were compared with the other holders, so that this node's word on them counts"`
	Full         int64 `json:"full" doc:"Records that this node is first in charge of and that have every copy wanted"`
	Below        int64 `json:"below" doc:"Records that this node is first in charge of and that have fewer copies than wanted"`
	Unreachable  int64 `json:"unreachable" doc:"Records that this node is first in charge of and that fewer holders than a quorum can answer for"`
}

// Peer is one peer as this node sees it.
type Peer struct {
	ID         string    `json:"id"`
	State      string    `json:"state" enum:"alive,suspect,away,dead,unknown"`
	Leaving    bool      `json:"leaving,omitempty" doc:"The peer hands over what it holds, and goes for good"`
	Zone       string    `json:"zone,omitempty"`
	Version    string    `json:"version,omitempty"`
	Since      time.Time `json:"since,omitzero" doc:"When the peer entered this state"`
	LastSeen   time.Time `json:"last_seen,omitzero"`
	RTTMicros  int64     `json:"rtt_us,omitempty" doc:"Smoothed round trip in microseconds"`
	Connected  bool      `json:"connected"`
	Transports []string  `json:"transports,omitempty" nullable:"false" doc:"Transports of the open connections: tcp, quic-v1, ws, webtransport, webrtc-direct; relay through another peer"`
	Relayed    bool      `json:"relayed,omitempty" doc:"Every connection leads through another peer"`
	RelayedBy  []string  `json:"relayed_by,omitempty" nullable:"false" doc:"Ids of the peers that connections lead through"`
	Relay      bool      `json:"relay,omitempty" doc:"The peer relays for others"`
	Addresses  []string  `json:"addresses" nullable:"false"`
	FoundBy    []string  `json:"found_by,omitempty" nullable:"false" doc:"Names of the finders that reported the peer"`
	Self       bool      `json:"self,omitempty"`
}

// Peers is the answer of GET /v1/peers, sorted by id; the node itself is included.
type Peers struct {
	Peers []Peer `json:"peers" nullable:"false"`
}

// PingRequest is the body of POST /v1/ping.
type PingRequest struct {
	Target string `json:"target" doc:"A peer id, or a multiaddr with or without /p2p/PEERID"`
}

// Pong is the answer to one ping.
type Pong struct {
	ID        string `json:"id" doc:"Peer id, proven by the secure handshake"`
	Address   string `json:"address" doc:"Multiaddr of the connection used"`
	RTTMicros int64  `json:"rtt_us" doc:"Round trip in microseconds"`
}

// Copies says on how many peers' disks a version is known to be: when the write was acknowledged, or when it was read.
type Copies struct {
	Stored     int `json:"stored" doc:"Copies known to be on disk"`
	Wanted     int `json:"wanted" doc:"Copies wanted now"`
	Configured int `json:"configured" doc:"Copies wanted in a network that is large enough"`
}

// Written is the answer to PUT and DELETE of a record.
type Written struct {
	Key     string    `json:"key"`
	Version string    `json:"version" doc:"The record's version, as in its ETag"`
	Author  string    `json:"author"`
	Expires time.Time `json:"expires,omitzero"`
	Copies  Copies    `json:"copies"`
	// Session is the token of the session that the write belongs to; it travels in a header.
	Session string `json:"-"`
}

// Record is a record with its value, as the command line and export write it.
type Record struct {
	Key         string    `json:"key"`
	Value       *string   `json:"value,omitempty" doc:"The value, when it is UTF-8"`
	ValueBase64 []byte    `json:"value_base64,omitempty" doc:"The value, when it is not UTF-8"`
	Version     string    `json:"version"`
	Author      string    `json:"author" doc:"Peer id of the peer that signed the version; empty when nobody did, as under kad/"`
	Expires     time.Time `json:"expires,omitzero"`
	Copies      Copies    `json:"copies,omitzero" doc:"On how many disks the version is known to be"`
}

// Entry is one record in a listing.
type Entry struct {
	Key     string    `json:"key"`
	Version string    `json:"version"`
	Author  string    `json:"author"`
	Size    int64     `json:"size" doc:"Bytes of the value"`
	Expires time.Time `json:"expires,omitzero"`
}

// Page is the answer of GET /v1/records: keys in byte order.
type Page struct {
	Records  []Entry  `json:"records" nullable:"false"`
	Cursor   string   `json:"cursor,omitempty" doc:"Pass it to get the next page; absent on the last"`
	Complete bool     `json:"complete" doc:"False when so many holders did not answer that keys may be missing"`
	Missing  []string `json:"missing,omitempty" nullable:"false" doc:"Peers that did not answer"`
}

// Holding is the answer of GET /v1/holders/KEY: who holds which version of a record.
type Holding struct {
	Key     string   `json:"key"`
	Wanted  int      `json:"wanted" doc:"Copies wanted now"`
	Copies  int      `json:"copies" doc:"Copies configured"`
	Quorum  int      `json:"quorum"`
	Holders []Holder `json:"holders" nullable:"false" doc:"The peers that are to hold the record, nearest to it first, then those that hold a copy besides"`
}

// Holder is one peer that holds a record or is to hold it.
type Holder struct {
	ID       string    `json:"id"`
	Zone     string    `json:"zone,omitempty"`
	State    string    `json:"state" enum:"alive,suspect,away,dead,unknown" doc:"The peer as this node sees it"`
	Wanted   bool      `json:"wanted" doc:"The peer is one of those that are to hold the record; false: it has a copy besides"`
	Answered bool      `json:"answered" doc:"The peer answered when it was asked; otherwise what follows is unknown"`
	Level    string    `json:"level" enum:"none,unsynced,partial,synced,leaving" doc:"How far the peer has compared the record's shard with the other holders"`
	Found    bool      `json:"found" doc:"The peer has a version of the record"`
	Version  string    `json:"version,omitempty"`
	Since    time.Time `json:"since,omitzero" doc:"When the peer's disk took that version"`
	Size     int64     `json:"size" doc:"Bytes of the value"`
	Deleted  bool      `json:"deleted,omitempty" doc:"The version is a deletion"`
}

// Standing is the answer of GET /v1/standing: how the records of the whole network fare, as all members that answered say.
type Standing struct {
	Full        int64    `json:"full" doc:"Records with every copy wanted"`
	Below       int64    `json:"below" doc:"Records with fewer copies than wanted, which are being made"`
	Unreachable int64    `json:"unreachable" doc:"Records that fewer holders than a quorum can answer for"`
	Complete    bool     `json:"complete" doc:"False when members did not answer, so that records may be missing from the numbers"`
	Missing     []string `json:"missing,omitempty" nullable:"false" doc:"Peers that did not answer"`
}

// Leaving is one line of the answer of POST /v1/leave: how far the node has handed over what it holds.
type Leaving struct {
	Left int64 `json:"left" doc:"Records that are left to hand over"`
	// Done and Problem are set in the last line only.
	Done    bool     `json:"done,omitempty" doc:"The node has ended; this is the last line"`
	Problem *Problem `json:"problem,omitempty" doc:"Why not everything was handed over"`
}

// Provider is a peer that offers what a key names.
type Provider struct {
	ID        string    `json:"id"`
	Addresses []string  `json:"addresses" nullable:"false"`
	Expires   time.Time `json:"expires" doc:"When the provider record ends unless it is renewed"`
	Foreign   bool      `json:"foreign,omitempty" doc:"The peer is a foreign Kademlia peer, and nothing is signed that proves it"`
}

// Providers is the answer of GET /v1/providers/KEY; peers that are known to be dead are left out.
type Providers struct {
	Key       string     `json:"key"`
	Providers []Provider `json:"providers" nullable:"false"`
}

// Provided is the answer of PUT /v1/providers/KEY.
type Provided struct {
	Key     string    `json:"key"`
	Expires time.Time `json:"expires"`
	Copies  Copies    `json:"copies"`
}
