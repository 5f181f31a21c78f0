// Package records is the distributed record store: signed records, each kept by several peers, found by the XOR distance between the hashes of key and peer.
//
// The peer that is asked coordinates: it stamps and signs a write and sends it to all holders at once, or asks a quorum of holders
// and answers with the newest version that they know. Every holder checks signature and rules for itself. Put, Get, List and Provide are the
// coordinator's side (put.go, get.go, list.go, provide.go), server.go is the holder's, wire.go what passes between them, placement.go who
// holds what; package disk keeps what this peer holds.
package records
