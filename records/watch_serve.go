package records

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// maxWaiting bounds the requests that wait for a change at once, and maxWaitingPerPeer those of one peer. Beyond them a request is answered at once.
	maxWaiting        = 1024
	maxWaitingPerPeer = 64
	// gatherChanges is how long changes are gathered once there is a first, so that a busy disk is not looked at for each of them.
	gatherChanges = 10 * time.Millisecond
)

// waiters counts the requests that wait for a change. The zero value counts none.
type waiters struct {
	mu    sync.Mutex
	total int             // guarded by mu
	peers map[peer.ID]int // guarded by mu
}

// enter counts a request in, and reports whether it may wait; then leave is called once it has waited.
func (w *waiters) enter(p peer.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total >= maxWaiting || w.peers[p] >= maxWaitingPerPeer {
		return false
	}
	if w.peers == nil {
		w.peers = map[peer.ID]int{}
	}
	w.total++
	w.peers[p]++
	return true
}

func (w *waiters) leave(p peer.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.peers[p]--; w.peers[p] == 0 {
		delete(w.peers, p)
	}
}

// A feed tells what changes on a disk.
type feed struct {
	disk    *disk.Disk
	waiting *waiters
}

// serve answers a request of another peer. Malformed requests are errors: the peer misbehaves.
func (f feed) serve(ctx context.Context, from peer.ID, data []byte) ([]byte, error) {
	req, err := unmarshalChangesRequest(data)
	if err != nil {
		return nil, err
	}
	if req.wait > 0 && f.waiting.enter(from) {
		defer f.waiting.leave(from)
	} else {
		req.wait = 0
	}
	found, err := f.changes(ctx, &req)
	if err != nil {
		r := refusal(err)
		return r.marshal(opChanges), nil
	}
	return found.marshal(), nil
}

// changes returns what has changed, once there is something or the time to wait is over.
func (f feed) changes(ctx context.Context, req *changesRequest) (changes, error) {
	c := changes{epoch: f.disk.Epoch(), last: f.disk.LastSequence()}
	c.next = c.last
	if req.epoch != c.epoch || req.after > c.last {
		return c, nil
	}
	c.next = req.after
	limit := time.NewTimer(req.wait)
	defer limit.Stop()
	match := func(h *disk.Head) bool {
		return h.Rank.Time() >= uint64(req.since) && strings.HasPrefix(h.Key, req.prefix)
	}
	for waiting := req.wait > 0; ; {
		changed, last := f.disk.Changed(), f.disk.LastSequence()
		found, next, err := f.disk.Changes(c.next, req.limit, match)
		if err != nil {
			return changes{}, err
		}
		c.next, c.last = next, max(last, next)
		for i := range found {
			c.heads = append(c.heads, found[i].Head)
		}
		if len(found) > 0 || !waiting || ctx.Err() != nil {
			return c, ctx.Err()
		}
		if next >= last { // all of the disk was looked at
			waiting = awaitChange(ctx, changed, limit.C)
		}
	}
}

// awaitChange waits for a change and those that come right behind it. It returns false when the time is over.
func awaitChange(ctx context.Context, changed <-chan struct{}, limit <-chan time.Time) bool {
	select {
	case <-changed:
	case <-limit:
		return false
	case <-ctx.Done():
		return false
	}
	gather := time.NewTimer(gatherChanges)
	defer gather.Stop()
	select {
	case <-gather.C:
		return true
	case <-limit:
		return false
	case <-ctx.Done():
		return false
	}
}
