package routing

import (
	"context"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// maxForeignStreams bounds the open streams of one peer. js-libp2p opens one for every request.
	maxForeignStreams = 32
	// maxStrangerStreams bounds those of all peers together that are not members, so that members find one another still.
	maxStrangerStreams = 512
	// maxForeignPeers bounds the peers whose use is kept; more are refused.
	maxForeignPeers = 8192
	// foreignKept is how long the use of a peer is kept after its last stream; by then every allowance is full again.
	foreignKept = time.Minute
	// foreignAsks and foreignWrites are what a peer may ask and write in a second; after a pause, up to the bursts at once.
	foreignAsks       = rate.Limit(200)
	foreignAskBurst   = 1000
	foreignWrites     = rate.Limit(25)
	foreignWriteBurst = 250
	// foreignReadCost is what a request that makes this node ask others counts.
	foreignReadCost = 4
)

// foreignLimits bound what each peer may take of a foreignServer.
type foreignLimits struct {
	mu        sync.Mutex
	peers     map[peer.ID]*foreignPeer // guarded by mu
	strangers int                      // guarded by mu; open streams of peers that are not members
	swept     time.Time                // guarded by mu
}

// foreignPeer is the use of one peer.
type foreignPeer struct {
	asks, writes *rate.Limiter
	streams      int       // guarded by foreignLimits.mu
	used         time.Time // guarded by foreignLimits.mu; when a stream was opened last
}

// open counts a stream of p in and returns p's allowance, or nil when p has too many streams, or all have.
func (l *foreignLimits) open(p peer.ID, member bool, now time.Time) *foreignPeer {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.peers[p]
	if a == nil {
		l.sweep(now)
		if len(l.peers) >= maxForeignPeers {
			return nil
		}
		a = &foreignPeer{asks: rate.NewLimiter(foreignAsks, foreignAskBurst), writes: rate.NewLimiter(foreignWrites, foreignWriteBurst)}
		l.peers[p] = a
	}
	a.used = now
	if a.streams >= maxForeignStreams || !member && l.strangers >= maxStrangerStreams {
		return nil
	}
	a.streams++
	if !member {
		l.strangers++
	}
	return a
}

// close counts a stream out.
func (l *foreignLimits) close(a *foreignPeer, member bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.streams--
	if !member {
		l.strangers--
	}
}

// sweep forgets who has not been here for a while. mu is held.
func (l *foreignLimits) sweep(now time.Time) {
	if now.Sub(l.swept) < foreignKept {
		return
	}
	l.swept = now
	for p, a := range l.peers {
		if a.streams == 0 && now.Sub(a.used) > foreignKept {
			delete(l.peers, p)
		}
	}
}

// wait takes a request's cost from the peer's allowance, once there is enough. Who asks too much is slowed down; as a stream carries one request at a time, nobody
// waits for longer than maxForeignStreams others.
func (a *foreignPeer) wait(ctx context.Context, kind pb.Message_MessageType) error {
	limiter, cost := a.asks, 1
	switch kind {
	case pb.Message_PUT_VALUE, pb.Message_ADD_PROVIDER:
		limiter = a.writes
	case pb.Message_GET_VALUE, pb.Message_GET_PROVIDERS:
		cost = foreignReadCost
	}
	return limiter.WaitN(ctx, cost)
}
