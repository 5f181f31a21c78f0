package records

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// maxHints bounds the records that are noted for one peer that is away; what is not noted is found when it compares.
	maxHints = 8192
	// maxHinted bounds the peers that something is noted for.
	maxHinted = 64
)

// hints are the records that this peer took while another of their holders was away, so that they are brought to it as soon as it is back.
type hints struct {
	place func(disk.Shard) placement

	mu    sync.Mutex
	peers map[peer.ID]map[disk.Hash]struct{} // guarded by mu
}

func newHints(place func(disk.Shard) placement) *hints {
	return &hints{place: place, peers: map[peer.ID]map[disk.Hash]struct{}{}}
}

// note notes a record for those of its holders that don't answer at the moment.
func (h *hints) note(s disk.Shard, hash disk.Hash) {
	p := h.place(s)
	if p.vague {
		return // this peer is no holder
	}
	for _, i := range p.holders {
		if r := &p.members[i]; r.state == routing.Suspect || r.state == routing.Away {
			h.add(r.id, hash)
		}
	}
}

func (h *hints) add(id peer.ID, hash disk.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	noted := h.peers[id]
	if noted == nil {
		if len(h.peers) >= maxHinted {
			return
		}
		noted = map[disk.Hash]struct{}{}
		h.peers[id] = noted
	}
	if len(noted) < maxHints {
		noted[hash] = struct{}{}
	}
}

// due returns what is noted for peers that are back, and forgets it. What is noted for dead peers is forgotten too: they compare when they come back.
func (h *hints) due(t *topology) map[peer.ID][]disk.Hash {
	h.mu.Lock()
	defer h.mu.Unlock()
	var due map[peer.ID][]disk.Hash
	for id, noted := range h.peers {
		m, known := t.view.Member(id)
		if known && (m.State == routing.Suspect || m.State == routing.Away) {
			continue
		}
		delete(h.peers, id)
		if !known || m.State != routing.Alive {
			continue
		}
		if due == nil {
			due = map[peer.ID][]disk.Hash{}
		}
		for hash := range noted {
			due[id] = append(due[id], hash)
		}
	}
	return due
}
