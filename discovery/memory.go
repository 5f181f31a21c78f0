package discovery

import (
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

var (
	errUnidentified = errors.New("the peer did not say which protocols it speaks")
	errStranger     = errors.New("the peer is of another network")
)

// Bounds on what is remembered of addresses and peers.
const (
	// MaxLearned is how many addresses are remembered with the peer that was met there, and LearnedFor is how long.
	MaxLearned = 4096
	LearnedFor = 10 * time.Minute
	// MaxSources is of how many peers it is remembered which finders reported them.
	MaxSources = 4096
)

// learned remembers which peer was met at an address.
type learned struct {
	peers *lru[string, learnedPeer] // by the address in binary form
}

type learnedPeer struct {
	id    peer.ID
	until time.Time
}

func newLearned() *learned {
	return &learned{peers: newLRU[string, learnedPeer](MaxLearned)}
}

// get returns the peer that was met at addr, or "".
func (l *learned) get(addr ma.Multiaddr, now time.Time) peer.ID {
	if p, ok := l.peers.get(string(addr.Bytes())); ok && now.Before(p.until) {
		return p.id
	}
	return ""
}

func (l *learned) set(addr ma.Multiaddr, id peer.ID, now time.Time) {
	l.peers.set(string(addr.Bytes()), learnedPeer{id, now.Add(LearnedFor)})
}

func (l *learned) forget(addr ma.Multiaddr) {
	l.peers.remove(string(addr.Bytes()))
}

// sources remembers which finders reported a peer.
type sources struct {
	names []string              // of the finders, at most MaxFinders
	found *lru[peer.ID, uint64] // a bit for each finder
}

func newSources(names []string) *sources {
	return &sources{names: names, found: newLRU[peer.ID, uint64](MaxSources)}
}

func (s *sources) add(id peer.ID, finder int) {
	bits, _ := s.found.get(id)
	s.found.set(id, bits|1<<finder)
}

func (s *sources) of(id peer.ID) []string {
	bits, _ := s.found.get(id)
	var names []string
	for i, name := range s.names {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
