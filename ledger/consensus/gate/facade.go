package gate

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// quietNetwork is the host's network, which CometBFT cannot close, and where closing a peer means no more than that CometBFT is through with it.
type quietNetwork struct {
	network.Network
	gate *Gate
}

// Close does nothing.
func (quietNetwork) Close() error { return nil }

// ClosePeer resets the session and CometBFT's streams with a peer.
func (n quietNetwork) ClosePeer(p peer.ID) error {
	n.gate.drop(p, restTime)
	return nil
}

// notebook is the host's peerstore, which CometBFT cannot close or write to. What it notes about peers is kept in the gate, as long as that lives: CometBFT panics
// when a note is missing.
type notebook struct {
	peerstore.Peerstore
	gate *Gate
}

// Close does nothing.
func (notebook) Close() error { return nil }

// Get returns a note.
func (n notebook) Get(p peer.ID, key string) (any, error) {
	n.gate.mu.Lock()
	defer n.gate.mu.Unlock()
	v, ok := n.gate.notes[p][key]
	if !ok {
		return nil, peerstore.ErrNotFound
	}
	return v, nil
}

// Put takes a note.
func (n notebook) Put(p peer.ID, key string, value any) error {
	n.gate.mu.Lock()
	defer n.gate.mu.Unlock()
	if n.gate.notes[p] == nil {
		n.gate.notes[p] = make(map[string]any)
	}
	n.gate.notes[p][key] = value
	return nil
}

// unknown stands for every peer's address. CometBFT can only read IPv4 addresses, looks others up in the DNS while a stream waits, and needs none: connections are the node's business.
var unknown = ma.StringCast("/ip4/0.0.0.0/tcp/0")

// PeerInfo returns a peer with an address that CometBFT can read.
func (n notebook) PeerInfo(p peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{unknown}}
}
