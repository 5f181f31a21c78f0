package discoverytest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// MemoryRepeat is the time between reports of a Memory finder.
const MemoryRepeat = 30 * time.Second

// Memory is a finder of the peers that it is told of.
type Memory struct {
	name string

	mu      sync.Mutex
	peers   []peer.AddrInfo // guarded by mu
	changed chan struct{}   // guarded by mu; closed at the next change
}

// NewMemory returns a finder called name that finds nobody yet.
func NewMemory(name string) *Memory {
	return &Memory{name: name, changed: make(chan struct{})}
}

// Name returns the finder's name.
func (m *Memory) Name() string { return m.name }

// Set replaces the peers that are found.
func (m *Memory) Set(peers ...peer.AddrInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = slices.Clone(peers)
	close(m.changed)
	m.changed = make(chan struct{})
}

// Find reports every peer at once, at each change and every MemoryRepeat.
func (m *Memory) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	repeat := time.NewTicker(MemoryRepeat)
	defer repeat.Stop()
	for ctx.Err() == nil {
		m.mu.Lock()
		peers, changed := m.peers, m.changed
		m.mu.Unlock()
		for _, p := range peers {
			found(p)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-repeat.C:
		}
	}
	return nil
}
