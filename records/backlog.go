package records

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"
)

const (
	// maxBacklogBytes bounds the writes under way to one peer, so that one that answers no more holds little memory and holds up nobody else's copies.
	maxBacklogBytes = 16 << 20
	// backlogOverhead is counted for each write besides its bytes; with the above it bounds their number.
	backlogOverhead = 16 << 10
	// maxIdleBacklogs is how many backlogs without users are kept for reuse.
	maxIdleBacklogs = 256
)

// backlogs are the writes under way, by peer. The zero value has none.
type backlogs struct {
	mu    sync.Mutex
	peers map[peer.ID]*backlog // guarded by mu; those with users, and some without
}

type backlog struct {
	room  *semaphore.Weighted
	users int // guarded by backlogs.mu
}

// enter takes room for one more write to the peer, waiting for it until ctx is over; leave makes it free again. Where there is room it is taken though ctx is over: the copies
// beyond those that a write waited for are sent all the same.
func (b *backlogs) enter(ctx context.Context, p peer.ID, size int) (leave func(), err error) {
	weight := int64(size + backlogOverhead)
	l := b.use(p)
	if !l.room.TryAcquire(weight) {
		if err := l.room.Acquire(ctx, weight); err != nil {
			b.release(p, l)
			return nil, err
		}
	}
	return func() {
		l.room.Release(weight)
		b.release(p, l)
	}, nil
}

func (b *backlogs) use(p peer.ID) *backlog {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.peers[p]
	if l == nil {
		if b.peers == nil {
			b.peers = map[peer.ID]*backlog{}
		}
		l = &backlog{room: semaphore.NewWeighted(maxBacklogBytes)}
		b.peers[p] = l
	}
	l.users++
	return l
}

func (b *backlogs) release(p peer.ID, l *backlog) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.users--; l.users == 0 && len(b.peers) > maxIdleBacklogs {
		delete(b.peers, p)
	}
}
