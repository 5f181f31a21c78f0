package routing_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// lab is a simulated network of production hosts with memberships, in simulated time.
type lab struct {
	t     *testing.T
	sim   *simnet.Simnet
	links simnet.NodeBiDiLinkSettings
	ips   int
	nodes []*labNode

	mu  sync.Mutex
	cut func(from, to string) bool // guarded by mu; whether packets between two IPs are lost
}

const (
	labLatency = time.Millisecond
	// lost is the latency of packets that never arrive.
	lost = 1000 * time.Hour
)

// labNode is one node of a lab. The fields after key change when it restarts.
type labNode struct {
	lab *lab
	key crypto.PrivKey
	cfg routing.Config

	ip   string
	host host.Host
	*routing.Membership
	stop func()
	done chan error
}

// simulate runs f with n nodes that know the first of them.
func simulate(t *testing.T, n int, f func(t *testing.T, l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
		l := &lab{t: t, links: simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}}
		l.sim = &simnet.Simnet{LatencyFunc: l.latency, Logger: slog.New(slog.DiscardHandler)}
		l.sim.Start()
		defer l.sim.Close()
		defer l.close()
		for range n {
			l.add(openNetwork(t, "lab"))
		}
		f(t, l)
	})
}

func openNetwork(t testing.TB, name string) swarm.NetworkID {
	t.Helper()
	id, err := swarm.OpenNetwork(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (l *lab) latency(p *simnet.Packet) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil && l.cut(ipOf(p.From), ipOf(p.To)) {
		return lost
	}
	return labLatency
}

func ipOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return host
}

// setCut loses the packets for which cut is true; nil heals the network.
func (l *lab) setCut(cut func(from, to string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// add starts a node that is connected to the first one.
func (l *lab) add(network swarm.NetworkID) *labNode {
	l.t.Helper()
	n := &labNode{lab: l, key: newKey(l.t)}
	n.cfg = routing.Config{Key: n.key, Network: network, Zone: fmt.Sprintf("zone-%d", len(l.nodes)), Version: "1.2.3"}
	n.start()
	if len(l.nodes) > 0 {
		n.connect(l.nodes[0])
	}
	l.nodes = append(l.nodes, n)
	return n
}

// start begins a life of the node at a new IP.
func (n *labNode) start() {
	t, l := n.lab.t, n.lab
	t.Helper()
	l.ips++
	n.ip = fmt.Sprintf("1.0.%d.%d", l.ips/250, l.ips%250+1)
	h, err := swarm.NewHost(swarm.Config{Key: n.key, Network: n.cfg.Network, Listen: []ma.Multiaddr{n.addr()}}, simlibp2p.QUICSimnet(l.sim, l.links))
	if err != nil {
		t.Fatal(err)
	}
	cfg := n.cfg
	cfg.Host = h
	m, err := routing.NewMembership(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.host, n.Membership, n.stop, n.done = h, m, cancel, make(chan error, 1)
	go func() { n.done <- m.Run(ctx) }()
}

func (n *labNode) addr() ma.Multiaddr { return ma.StringCast("/ip4/" + n.ip + "/udp/4242/quic-v1") }

func (n *labNode) info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.host.ID(), Addrs: []ma.Multiaddr{n.addr()}}
}

func (n *labNode) connect(o *labNode) {
	n.lab.t.Helper()
	if err := n.host.Connect(context.Background(), o.info()); err != nil {
		n.lab.t.Fatal(err)
	}
}

// shutdown stops the node as a program does that ends by itself.
func (n *labNode) shutdown() {
	if n.host == nil {
		return
	}
	n.stop()
	if err := <-n.done; err != nil {
		n.lab.t.Errorf("Run: %v", err)
	}
	if err := n.Close(); err != nil {
		n.lab.t.Errorf("Close: %v", err)
	}
	n.host.Close()
	n.host = nil
}

// vanish stops the node without a word to anybody.
func (n *labNode) vanish() {
	ip := n.ip
	n.lab.setCut(func(from, to string) bool { return from == ip || to == ip })
	n.shutdown()
}

func (l *lab) close() {
	l.setCut(func(string, string) bool { return true })
	for _, n := range l.nodes {
		n.shutdown()
	}
}

func (n *labNode) state(o *labNode) routing.State {
	id, err := peer.IDFromPrivateKey(o.key)
	if err != nil {
		n.lab.t.Fatal(err)
	}
	m, _ := n.View().Member(id)
	return m.State
}

// wait lets time pass until every observer sees every observed in one of the states, and fails when that takes longer than within.
func (l *lab) wait(what string, within time.Duration, observers, observed []*labNode, states ...routing.State) {
	l.t.Helper()
	const step = 20 * time.Millisecond
	start := time.Now()
	for {
		bad := ""
		for _, n := range observers {
			for _, o := range observed {
				if s := n.state(o); n != o && !slices.Contains(states, s) {
					bad = fmt.Sprintf("%s sees %s as %v", n.cfg.Zone, o.cfg.Zone, s)
				}
			}
		}
		if bad == "" {
			if within > 0 {
				l.t.Logf("%s after %v", what, time.Since(start))
			}
			return
		}
		if time.Since(start) > within {
			l.t.Fatalf("%s: %s after %v, want %v", what, bad, within, states)
		}
		time.Sleep(step)
	}
}

func (l *lab) others(but *labNode) []*labNode {
	return slices.DeleteFunc(slices.Clone(l.nodes), func(n *labNode) bool { return n == but })
}
