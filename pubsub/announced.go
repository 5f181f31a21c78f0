package pubsub

import (
	"context"
	"strings"
	"sync"
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// openTime is how long a neighbour has to take this node's stream after it has opened its own.
	openTime = 10 * time.Second
	// newsRate and newsBurst are how many topics of one neighbour are looked at as soon as it says that it follows them; others wait for their turn. A look may take a search in the network.
	newsRate  = 1
	newsBurst = 32
)

// announced are the topics that neighbours say they follow, within bounds. It is gossipsub's filter of such announcements.
//
// gossipsub forgets what a neighbour follows when the stream that it has opened to the neighbour ends. What one says that has no such stream would be kept for good, so nothing is taken from it.
type announced struct {
	prefix string
	// news is told of topics that somebody began to follow; it must not block.
	news func(topic string)

	mu     sync.Mutex
	peers  map[peer.ID]map[string]struct{} // guarded by mu; topics as on the wire
	open   map[peer.ID]*rate.Limiter       // guarded by mu; neighbours that gossipsub has a stream to, with what is left of their news
	opened chan struct{}                   // guarded by mu; closed and replaced when there is one more
}

var _ gossipsub.SubscriptionFilter = (*announced)(nil)

func newAnnounced(prefix string, news func(string)) *announced {
	return &announced{prefix: prefix, news: news, peers: make(map[peer.ID]map[string]struct{}), open: make(map[peer.ID]*rate.Limiter), opened: make(chan struct{})}
}

// CanSubscribe says whether topic is one of this network.
func (a *announced) CanSubscribe(topic string) bool {
	name, ours := strings.CutPrefix(topic, a.prefix)
	return ours && checkName(name) == nil
}

// FilterIncomingSubscriptions leaves out what is none of the network's topics and what one neighbour says beyond its bound.
func (a *announced) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	if len(subs) > 2*maxAnnounced {
		return nil, gossipsub.ErrTooManySubscriptions
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[from] == nil {
		return nil, nil
	}
	kept := subs[:0]
	for _, s := range subs {
		if a.CanSubscribe(s.GetTopicid()) && a.note(from, s.GetTopicid(), s.GetSubscribe()) {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// note keeps in mind what a neighbour follows, and reports whether there was room. mu is held.
func (a *announced) note(from peer.ID, topic string, follows bool) bool {
	topics := a.peers[from]
	_, known := topics[topic]
	switch {
	case !follows:
		delete(topics, topic)
		return known
	case known:
		return true
	case len(topics) >= maxAnnounced:
		return false
	case topics == nil:
		topics = make(map[string]struct{})
		a.peers[from] = topics
	}
	topics[topic] = struct{}{}
	if a.open[from].Allow() {
		a.news(topic)
	}
	return true
}

// meet notes that gossipsub has a stream to a neighbour.
func (a *announced) meet(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[p] = rate.NewLimiter(newsRate, newsBurst)
	close(a.opened)
	a.opened = make(chan struct{})
}

// await returns when gossipsub has a stream to a neighbour; otherwise with ctx's error.
func (a *announced) await(ctx context.Context, p peer.ID) error {
	for {
		a.mu.Lock()
		open, opened := a.open[p], a.opened
		a.mu.Unlock()
		if open != nil {
			return nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// forget drops what a neighbour said that gossipsub has no stream to any more.
func (a *announced) forget(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.peers, p)
	delete(a.open, p)
}

// topics returns all topics that any neighbour follows.
func (a *announced) topics() map[string]struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]struct{})
	for _, topics := range a.peers {
		for t := range topics {
			all[t] = struct{}{}
		}
	}
	return all
}
