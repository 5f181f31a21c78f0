// Package consensustest helps to test what runs on a ledger's network: real hosts on this machine, and the list of those who may take part.
package consensustest

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/swarm"
)

// Eventually waits until f holds, and fails the test when it does not within patience.
func Eventually(t *testing.T, patience time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come", what)
		}
	}
}

// Members are the peers of a network under test: those that were admitted and not expelled since. They are consensus.Peers; the zero value has none.
type Members struct {
	mu    sync.Mutex
	known map[peer.ID]peer.AddrInfo // guarded by mu
}

// Allowed tells whether a peer is a member.
func (m *Members) Allowed(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.known[p]
	return ok
}

// Known returns the members.
func (m *Members) Known() (all []peer.AddrInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.known {
		all = append(all, p)
	}
	return all
}

// Whole tells that there are no others.
func (*Members) Whole() bool { return true }

// Admit makes a peer a member.
func (m *Members) Admit(p peer.AddrInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = make(map[peer.ID]peer.AddrInfo)
	}
	m.known[p.ID] = p
}

// Expel ends a membership.
func (m *Members) Expel(p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, p)
}

// NewHost makes a host of a network that listens on an address until the test ends.
func NewHost(t *testing.T, id swarm.NetworkID, listen string) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: id, Listen: []ma.Multiaddr{ma.StringCast(listen)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// InfoOf returns the id and the addresses of a host.
func InfoOf(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }
