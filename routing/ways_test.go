package routing_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/routingtest"
)

// withWays runs f in a settled network of n nodes that take part in every way of routing.
func withWays(t *testing.T, n int, f func(t *testing.T, l *lab, ways []*routing.Ways)) {
	simulate(t, n, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		var ways []*routing.Ways
		var topics []*pubsub.Service
		for _, node := range l.nodes {
			s, err := pubsub.New(pubsub.Config{Host: node.host, Network: node.cfg.Network})
			if err != nil {
				t.Fatal(err)
			}
			w, err := routing.NewWays(routing.LookupConfig{Membership: node.Membership}, s)
			if err != nil {
				t.Fatal(err)
			}
			topics, ways = append(topics, s), append(ways, w)
			go func() { done <- errors.Join(w.Run(ctx), s.Run(ctx)) }()
		}
		defer func() {
			cancel()
			for i, w := range ways {
				if err := errors.Join(<-done, w.Close(), topics[i].Close()); err != nil {
					t.Errorf("stop the ways of routing: %v", err)
				}
			}
		}()
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		time.Sleep(5 * time.Second)
		f(t, l, ways)
	})
}

// Each way passes the conformance suite, with a dead peer, and finds everybody when it is made to ask.
func TestWaysConform(t *testing.T) {
	for _, method := range routing.Methods() {
		t.Run(string(method), func(t *testing.T) {
			withWays(t, 8, func(t *testing.T, l *lab, ways []*routing.Ways) {
				first, last := l.nodes[0], l.nodes[7]
				way := ways[0].Finder(method)
				network := routingtest.Network{Router: way, Self: first.host.ID(), Dead: last.host.ID(), Stranger: newID(t)}
				for _, n := range l.nodes[1:7] {
					network.Alive = append(network.Alive, n.info())
				}
				ip := last.ip
				l.setCut(func(from, to string) bool { return from == ip || to == ip })
				l.wait("dead", deadWithin, l.nodes[:7], []*labNode{last}, routing.Dead)
				routingtest.TestRouter(t, network)
				for _, want := range network.Alive {
					if got, err := way.Seek(t.Context(), want.ID); err != nil || !slices.ContainsFunc(got.Addrs, want.Addrs[0].Equal) {
						t.Errorf("Seek(%s) = %v, %v; want %v", want.ID, got, err, want.Addrs)
					}
				}
			})
		})
	}
}

// Who just fell silent and is still believed alive keeps nobody from an answer, and those who live are found all the same.
func TestWaysAreNotHeldUpByTheDead(t *testing.T) {
	// Where all whom a recursive question turns to in place of others are dead as well, it takes the whole 3 s that it has, and those whom it told of are asked after that.
	const bound = 5 * time.Second
	for _, method := range routing.Methods() {
		t.Run(string(method), func(t *testing.T) {
			withWays(t, 8, func(t *testing.T, l *lab, ways []*routing.Ways) {
				way := ways[0].Finder(method)
				if _, err := way.ClosestPeers(t.Context(), []byte("warm up"), 3); err != nil {
					t.Fatal(err)
				}
				gone := make(map[string]bool)
				for _, n := range l.nodes[5:] {
					gone[n.ip] = true
				}
				l.setCut(func(from, to string) bool { return gone[from] || gone[to] })
				start := time.Now()
				got, err := way.ClosestPeers(t.Context(), []byte("key"), 8)
				if took := time.Since(start); err != nil || took > bound {
					t.Errorf("ClosestPeers: %v after %v", err, took)
				}
				for _, n := range l.nodes[:5] {
					if !slices.Contains(got, n.host.ID()) {
						t.Errorf("%s is not found", n.cfg.Zone)
					}
				}
			})
		})
	}
}

func TestWaysAlone(t *testing.T) {
	for _, method := range routing.Methods() {
		t.Run(string(method), func(t *testing.T) {
			withWays(t, 1, func(t *testing.T, l *lab, ways []*routing.Ways) {
				way := ways[0].Finder(method)
				if _, err := way.FindPeer(t.Context(), newID(t)); fault.KindOf(err) != fault.Unavailable {
					t.Errorf("FindPeer with nobody to ask: %v, want unavailable", err)
				}
				got, err := way.ClosestPeers(t.Context(), []byte("key"), 3)
				if err != nil || !slices.Equal(got, []peer.ID{l.nodes[0].host.ID()}) {
					t.Errorf("ClosestPeers = %v, %v; want the node itself", got, err)
				}
			})
		})
	}
}

func TestMethods(t *testing.T) {
	for _, m := range routing.Methods() {
		if got, err := routing.ParseMethod(string(m)); got != m || err != nil {
			t.Errorf("ParseMethod(%q) = %q, %v", m, got, err)
		}
	}
	if got, err := routing.ParseMethod(""); got != routing.DefaultMethod || err != nil {
		t.Errorf("the default is %q, %v", got, err)
	}
	if _, err := routing.ParseMethod("magic"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("ParseMethod(magic): %v", err)
	}
}
