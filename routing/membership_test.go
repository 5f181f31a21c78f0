package routing_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// What package swim promises, seen from outside.
const (
	suspectWithin = 3 * time.Second
	deadWithin    = 10 * time.Second
	backWithin    = 3 * time.Second
	formWithin    = 5 * time.Second
)

func TestNodesFindOneAnother(t *testing.T) {
	simulate(t, 8, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		time.Sleep(20 * time.Second)
		for _, n := range l.nodes {
			v := n.View()
			if len(v.Members) != len(l.nodes) || !slices.IsSortedFunc(v.Members, func(a, b routing.Member) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
				t.Errorf("view of %d members, want %d in order", len(v.Members), len(l.nodes))
			}
			if self, ok := v.Member(n.host.ID()); !ok || v.Self != n.host.ID() || self.State != routing.Alive || self.Zone != n.cfg.Zone {
				t.Errorf("self is %+v", self)
			}
			for _, o := range l.nodes {
				if o == n {
					continue
				}
				m, _ := v.Member(o.host.ID())
				if m.Zone != o.cfg.Zone || m.Version != "1.2.3" || !slices.EqualFunc(m.Addrs, o.host.Addrs(), ma.Multiaddr.Equal) {
					t.Errorf("member is %+v", m)
				}
				if m.RTT < 2*labLatency || m.RTT > 3*labLatency {
					t.Errorf("RTT is %v, want about %v", m.RTT, 2*labLatency)
				}
				if age := time.Since(m.LastSeen); age > 5*time.Second {
					t.Errorf("last seen %v ago", age)
				}
				if c := n.host.Network().Connectedness(o.host.ID()); c != network.Connected {
					t.Errorf("no full mesh: %v", c)
				}
				if !n.host.ConnManager().IsProtected(o.host.ID(), "") {
					t.Error("a member's connection is not protected")
				}
			}
		}
	})
}

func TestVanishedNodeDiesAndReturnsElsewhere(t *testing.T) {
	simulate(t, 5, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		x := l.nodes[3]
		rest := l.others(x)
		id, old := x.host.ID(), x.addr()
		changed := rest[0].Changed()
		x.vanish()
		l.wait("suspect", suspectWithin, rest, []*labNode{x}, routing.Suspect, routing.Dead)
		select {
		case <-changed:
		default:
			t.Error("Changed was not closed")
		}
		l.wait("dead", deadWithin-suspectWithin, rest, []*labNode{x}, routing.Dead)

		x.start()
		x.connect(rest[0])
		l.wait("back", backWithin, l.nodes, l.nodes, routing.Alive)
		time.Sleep(5 * time.Second)
		for _, n := range rest {
			if m, _ := n.View().Member(id); len(m.Addrs) != 1 || !m.Addrs[0].Equal(x.addr()) {
				t.Errorf("the view has %v, want %v", m.Addrs, x.addr())
			}
			if known := n.host.Peerstore().Addrs(id); slices.ContainsFunc(known, old.Equal) || !slices.ContainsFunc(known, x.addr().Equal) {
				t.Errorf("the peerstore has %v, want %v", known, x.addr())
			}
		}
	})
}

func TestQuickRestartElsewhere(t *testing.T) {
	simulate(t, 4, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		x := l.nodes[2]
		rest := l.others(x)
		x.vanish()
		time.Sleep(200 * time.Millisecond)
		x.start()
		x.connect(rest[0])
		for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			moved := 0
			for _, n := range rest {
				m, _ := n.View().Member(x.host.ID())
				if m.State == routing.Alive && len(m.Addrs) == 1 && m.Addrs[0].Equal(x.addr()) && x.state(n) == routing.Alive {
					moved++
				}
			}
			if moved == len(rest) {
				t.Logf("moved after %v", time.Since(start))
				break
			}
			if time.Since(start) > 10*time.Second {
				t.Fatalf("only %d of %d see the node at its new address", moved, len(rest))
			}
		}
		for range 200 {
			time.Sleep(50 * time.Millisecond)
			l.wait("steady", 0, l.nodes, l.nodes, routing.Alive)
		}
		for _, n := range rest {
			for _, c := range n.host.Network().ConnsToPeer(x.host.ID()) {
				if ip, _ := manet.ToIP(c.RemoteMultiaddr()); ip.String() != x.ip {
					t.Errorf("%s keeps a connection to %s, where the node was before", n.cfg.Zone, c.RemoteMultiaddr())
				}
			}
		}
	})
}

func TestFrozenNodeThaws(t *testing.T) {
	for _, pause := range []time.Duration{4 * time.Second, 40 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			simulate(t, 4, func(t *testing.T, l *lab) {
				l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
				x := l.nodes[0]
				l.setCut(func(from, to string) bool { return from == x.ip || to == x.ip })
				time.Sleep(pause)
				l.setCut(nil)
				l.wait("back", backWithin, l.nodes, l.nodes, routing.Alive)
			})
		})
	}
}

func TestPartitionHeals(t *testing.T) {
	simulate(t, 6, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		left, right := l.nodes[:3], l.nodes[3:]
		side := make(map[string]bool)
		for _, n := range left {
			side[n.ip] = true
		}
		l.setCut(func(from, to string) bool { return side[from] != side[to] })
		l.wait("left sees right dead", deadWithin, left, right, routing.Dead)
		l.wait("right sees left dead", time.Second, right, left, routing.Dead)
		time.Sleep(time.Minute)
		l.setCut(nil)
		l.wait("healed", backWithin, l.nodes, l.nodes, routing.Alive)
	})
}

func TestReturnWhileSuspect(t *testing.T) {
	simulate(t, 4, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		time.Sleep(5 * time.Second)
		x := l.nodes[3]
		rest := l.others(x)
		x.vanish()
		l.wait("suspect", suspectWithin, rest, []*labNode{x}, routing.Suspect)
		x.start()
		for _, n := range rest {
			x.connect(n)
		}
		// What is sent over the old connections is lost; the new ones are used at once.
		l.wait("back", 200*time.Millisecond, rest, []*labNode{x}, routing.Alive)
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			l.wait("steady", 0, l.nodes, l.nodes, routing.Alive)
		}
	})
}

func TestLostConnectionsAreNoticedAtOnce(t *testing.T) {
	simulate(t, 5, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		time.Sleep(3 * time.Second)
		x := l.nodes[2]
		x.shutdown()
		l.wait("suspect", 600*time.Millisecond, l.others(x), []*labNode{x}, routing.Suspect)
	})
}

func TestOthersVouchForAPeerOutOfReach(t *testing.T) {
	simulate(t, 4, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		a, b := l.nodes[1], l.nodes[2]
		l.setCut(func(from, to string) bool { return from == a.ip && to == b.ip || from == b.ip && to == a.ip })
		suspicions := 0
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			switch s := a.state(b); s {
			case routing.Alive:
			case routing.Suspect: // for a moment, when the connection breaks
				suspicions++
			default:
				t.Fatalf("a peer that others reach is %v", s)
			}
		}
		if suspicions > 20 {
			t.Errorf("a peer that others reach was suspect %d of 600 times", suspicions)
		}
		l.wait("the others", 0, l.nodes[:1], l.nodes, routing.Alive)
	})
}

func TestAbsence(t *testing.T) {
	simulate(t, 4, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		x := l.nodes[1]
		rest := l.others(x)
		leave := func(grace time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := x.AnnounceAbsence(ctx, grace); err != nil {
				t.Errorf("AnnounceAbsence: %v", err)
			}
			l.wait("away", 0, rest, []*labNode{x}, routing.Away)
			x.shutdown()
		}
		leave(time.Minute)
		time.Sleep(50 * time.Second)
		l.wait("still away", 0, rest, []*labNode{x}, routing.Away)
		x.start()
		x.connect(rest[0])
		l.wait("back", backWithin, l.nodes, l.nodes, routing.Alive)

		leave(20 * time.Second)
		time.Sleep(15 * time.Second)
		l.wait("still away", 0, rest, []*labNode{x}, routing.Away)
		l.wait("overdue", 6*time.Second, rest, []*labNode{x}, routing.Dead)
	})
}

func TestAbsenceIsBounded(t *testing.T) {
	simulate(t, 1, func(t *testing.T, l *lab) {
		for _, grace := range []time.Duration{-time.Second, 0, swim.MaxAbsence + time.Second} {
			if err := l.nodes[0].AnnounceAbsence(t.Context(), grace); fault.KindOf(err) != fault.Invalid {
				t.Errorf("absence of %v: %v", grace, err)
			}
		}
		if err := l.nodes[0].AnnounceAbsence(t.Context(), time.Minute); err != nil {
			t.Errorf("absence of a lonely node: %v", err)
		}
	})
}

func TestDeparture(t *testing.T) {
	simulate(t, 5, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		x := l.nodes[1]
		rest := l.others(x)
		id := x.host.ID()
		changed := x.Changed()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.AnnounceLeave(ctx); err != nil {
			t.Errorf("AnnounceLeave: %v", err)
		}
		select {
		case <-changed:
		default:
			t.Error("the node's own view did not change")
		}
		leaving := func(what string) {
			t.Helper()
			for _, n := range l.nodes {
				for _, m := range n.View().Members {
					if m.Leaving != (m.ID == id) || m.State != routing.Alive {
						t.Errorf("%s: %s sees %s as %v, leaving %v", what, n.cfg.Zone, m.Zone, m.State, m.Leaving)
					}
				}
			}
		}
		leaving("announced")
		second := ma.StringCast("/ip4/1.0.77.1/udp/4242/quic-v1")
		if err := x.host.Network().Listen(second); err != nil { // a new claim
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		leaving("later")

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.AnnounceLeft(ctx); err != nil {
			t.Errorf("AnnounceLeft: %v", err)
		}
		l.wait("left", 0, rest, []*labNode{x}, 0)
		time.Sleep(15 * time.Second) // it still runs, but nobody takes it in again
		l.wait("left", 0, rest, []*labNode{x}, 0)
		x.shutdown()
		for range 30 {
			time.Sleep(time.Second)
			l.wait("gone", 0, rest, []*labNode{x}, 0)
		}
		x.start()
		x.connect(rest[2])
		l.wait("back", backWithin, l.nodes, l.nodes, routing.Alive)
		if m, _ := rest[0].View().Member(id); m.Leaving {
			t.Error("the new life is leaving too")
		}
	})
}

func TestForgetting(t *testing.T) {
	simulate(t, 3, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		x := l.nodes[2]
		rest := l.others(x)
		x.vanish()
		time.Sleep(9 * time.Minute)
		l.wait("remembered", 0, rest, []*labNode{x}, routing.Dead)
		time.Sleep(2 * time.Minute)
		l.wait("forgotten", 0, rest, []*labNode{x}, 0)
	})
}

func TestRememberedPeersAreProbedAtOnce(t *testing.T) {
	simulate(t, 1, func(t *testing.T, l *lab) {
		first := l.nodes[0]
		gone := newKey(t)
		goneID, err := peer.IDFromPrivateKey(gone)
		if err != nil {
			t.Fatal(err)
		}
		n := &labNode{lab: l, key: newKey(t)}
		n.cfg = routing.Config{Key: n.key, Network: first.cfg.Network, Remembered: []peer.AddrInfo{
			first.info(), {ID: goneID, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.0.9.9/udp/4242/quic-v1")}},
		}}
		n.start()
		l.nodes = append(l.nodes, n)
		if v := n.View(); v.Count(routing.Dead) != 2 {
			t.Errorf("%d members are dead at the start, want 2", v.Count(routing.Dead))
		}
		l.wait("found", time.Second, l.nodes, l.nodes, routing.Alive)
		if m, ok := n.View().Member(goneID); !ok || m.State != routing.Dead {
			t.Errorf("the peer that is gone is %+v", m)
		}
	})
}

func TestOwnAddressChange(t *testing.T) {
	simulate(t, 3, func(t *testing.T, l *lab) {
		l.wait("formed", formWithin, l.nodes, l.nodes, routing.Alive)
		x := l.nodes[1]
		second := ma.StringCast("/ip4/1.0.77.1/udp/4242/quic-v1")
		if err := x.host.Network().Listen(second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, n := range l.nodes {
			m, _ := n.View().Member(x.host.ID())
			if !slices.ContainsFunc(m.Addrs, second.Equal) || !slices.ContainsFunc(m.Addrs, x.addr().Equal) {
				t.Errorf("addresses are %v", m.Addrs)
			}
		}
	})
}

func TestNetworksDoNotMix(t *testing.T) {
	simulate(t, 3, func(t *testing.T, l *lab) {
		stranger := l.add(openNetwork(t, "other"))
		friend := l.add(openNetwork(t, "other"))
		friend.connect(stranger)
		for _, n := range l.nodes[:3] {
			stranger.connect(n)
		}
		time.Sleep(30 * time.Second)
		lab, other := l.nodes[:3], l.nodes[3:]
		l.wait("lab", 0, lab, lab, routing.Alive)
		l.wait("other", 0, other, other, routing.Alive)
		l.wait("strangers to the lab", 0, lab, other, 0)
		l.wait("strangers to the other", 0, other, lab, 0)
	})
}

func TestConfigIsChecked(t *testing.T) {
	simulate(t, 1, func(t *testing.T, l *lab) {
		good := l.nodes[0].cfg
		good.Host = l.nodes[0].host
		for name, spoil := range map[string]func(*routing.Config){
			"no host":        func(c *routing.Config) { c.Host = nil },
			"no key":         func(c *routing.Config) { c.Key = nil },
			"another's key":  func(c *routing.Config) { c.Key = newKey(t) },
			"long zone":      func(c *routing.Config) { c.Zone = string(make([]byte, routing.MaxZone+1)) },
			"escape in zone": func(c *routing.Config) { c.Zone = "\x1b[2J" },
			"bad version":    func(c *routing.Config) { c.Version = "\xff" },
			"negative":       func(c *routing.Config) { c.ForgetAfter = -1 },
		} {
			cfg := good
			spoil(&cfg)
			if _, err := routing.NewMembership(cfg); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
