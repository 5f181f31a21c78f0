package nat

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// maxAsked is how many peers are asked at a time.
	maxAsked = 4
	// askGap is the least time between two rounds of questions, and askAgain that while the answer is not known or not sure.
	askGap   = 2 * time.Second
	askAgain = 5 * time.Second
	// askInterval is how often a known answer is brought up to date. It is below what checkRate allows.
	askInterval = 2 * time.Minute
	// askSettle is how long news is gathered before peers are asked about it.
	askSettle = 300 * time.Millisecond
)

// judge finds out whether the node can be reached, by asking others.
type judge struct {
	t    *Traversal
	news chan struct{} // capacity 1

	mu      sync.Mutex
	now     Verdict // guarded by mu
	doubted bool    // guarded by mu; the last round said that a node that was reachable is not
}

func newJudge(t *Traversal) *judge {
	return &judge{t: t, news: make(chan struct{}, 1), now: Verdict{State: Unknown}}
}

// verdict returns what is known now.
func (j *judge) verdict() Verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now
}

// hurry has the question put again soon.
func (j *judge) hurry() {
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// run asks again and again until ctx ends: when there is news, when the answer is not known, and now and then.
func (j *judge) run(ctx context.Context) {
	next := time.NewTimer(askAgain)
	defer next.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-j.news:
			if pause.For(ctx, askSettle) != nil {
				return
			}
		case <-next.C:
		}
		select { // what came meanwhile is part of this round
		case <-j.news:
		default:
		}
		sure := j.round(ctx)
		if pause.For(ctx, askGap) != nil {
			return
		}
		if sure {
			next.Reset(askInterval + rand.N(askInterval/4))
		} else {
			next.Reset(askAgain - askGap)
		}
	}
}

// round asks some peers and says whether the answer is one to rely on.
func (j *judge) round(ctx context.Context) (sure bool) {
	candidates := j.t.candidates()
	asked := j.t.askable()
	if len(candidates) == 0 || len(asked) == 0 {
		return false
	}
	addrs := make([]ma.Multiaddr, len(candidates))
	for i, c := range candidates {
		addrs[i] = c.Addr
	}
	v := conclude(candidates, j.t.ask(ctx, asked, addrs))
	return j.take(v)
}

// take makes a verdict the present one, and says whether it is one to rely on. A peer may be mistaken, or slow: a node that was reachable is not before a second round has said so.
func (j *judge) take(v Verdict) (sure bool) {
	j.mu.Lock()
	before := j.now
	doubt := before.State == Reachable && v.State == Unreachable && !j.doubted
	j.doubted = doubt
	if v.State == Unknown && before.State != Unknown || doubt {
		j.mu.Unlock()
		return false
	}
	j.now = v
	j.mu.Unlock()
	if v.State != before.State {
		j.t.logger.Info("reachability", "state", string(v.State), "was", string(before.State))
	}
	j.t.serveIfPublic(v)
	if v.State != before.State || !slices.EqualFunc(v.Addrs, before.Addrs, func(a, b AddrVerdict) bool { return a.State == b.State && a.Own == b.Own && a.Addr.Equal(b.Addr) }) {
		j.t.apply()
		j.t.look()
	}
	return v.State != Unknown
}

// candidates returns the addresses that others are asked about, the most promising first.
func (t *Traversal) candidates() []AddrVerdict {
	var found []AddrVerdict
	add := func(a ma.Multiaddr, own bool) {
		if a, _ = split(a); a == nil || !dialable(a) || !swarm.CanLearnPeerID(a) || len(a.Bytes()) > maxCheckedSize || len(found) == maxChecked {
			return
		}
		if !slices.ContainsFunc(found, func(f AddrVerdict) bool { return f.Addr.Equal(a) }) {
			found = append(found, AddrVerdict{Addr: a, Own: own})
		}
	}
	own := t.own.Load().addrs
	for _, a := range t.cfg.Announce {
		add(a, true)
	}
	for _, a := range own {
		if manet.IsPublicAddr(a) {
			add(a, true)
		}
	}
	for _, a := range t.observed.addrs() {
		if !ma.Contains(own, a) {
			add(a, false)
		}
	}
	for _, a := range own {
		add(a, true)
	}
	return found
}

// split takes the peer id off an address.
func split(a ma.Multiaddr) (ma.Multiaddr, peer.ID) { return peer.SplitAddr(a) }

// askable returns the peers to ask: those who see the node from outside first, for whether it can be reached from there is the question.
func (t *Traversal) askable() []peer.ID {
	var ids []peer.ID
	for _, p := range t.peers.Alive() {
		if t.host.Network().Connectedness(p) == network.Connected {
			ids = append(ids, p)
		}
	}
	rand.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	outside := t.observed.outsiders(t.own.Load().addrs)
	rank := func(p peer.ID) int {
		if outside[p] || directConn(t.host.Network(), p) == nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ids, func(a, b peer.ID) int { return rank(a) - rank(b) })
	return ids[:min(len(ids), maxAsked)]
}

// ask asks peers which of the addresses they can dial. Those that don't answer are left out.
func (t *Traversal) ask(ctx context.Context, peers []peer.ID, addrs []ma.Multiaddr) []answer {
	request, err := encodeCheck(addrs)
	if err != nil {
		t.logger.Warn("encode a reachability check", "error", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	answers := make([]answer, len(peers))
	var asking sync.WaitGroup
	for i, p := range peers {
		asking.Go(func() {
			response, err := t.client.Call(ctx, p, request)
			if err != nil {
				t.logger.Debug("reachability check failed", "peer", p, "error", err)
				return
			}
			results, err := decodeResults(response, len(addrs))
			if err != nil {
				t.logger.Debug("reachability check failed", "peer", p, "error", err)
				return
			}
			answers[i] = answer{from: p, results: results}
		})
	}
	asking.Wait()
	return slices.DeleteFunc(answers, func(a answer) bool { return a.results == nil })
}

// serveIfPublic begins to relay, or ends it, where that follows from what is known of the node. It begins when all who were asked can dial the node, and ends when none can dial a public address: one peer that
// can't, or says so, must not take the relay from those that can.
func (t *Traversal) serveIfPublic(v Verdict) {
	if t.cfg.Relay != ServeAuto {
		return
	}
	public := slices.ContainsFunc(v.Addrs, func(a AddrVerdict) bool { return a.State == Reachable && manet.IsPublicAddr(a.Addr) })
	if err := t.relay.serve(public && (v.State == Reachable || t.relay.status().Serving)); err != nil {
		t.logger.Warn("relay for others", "error", err)
	}
}
