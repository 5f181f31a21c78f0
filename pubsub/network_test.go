package pubsub

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/internal/wires"
	"github.com/folkmoot/folkmoot/swarm"
)

// lab is a network of hosts with services in simulated time. Only the links are simulated.
type lab struct {
	t     *testing.T
	wires *wires.Wires
	peers []*labPeer
}

type labPeer struct {
	*Service
	host host.Host
	addr ma.Multiaddr
}

// simulate runs f with n peers of one network, each connected to those for which connect says so.
func simulate(t *testing.T, n int, connect func(a, b int) bool, f func(t *testing.T, l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{t: t, wires: wires.New(time.Millisecond)}
		ctx, cancel := context.WithCancel(context.Background())
		defer time.Sleep(time.Minute) // gossipsub's goroutines end by themselves
		defer cancel()
		for i := range n {
			l.add(ctx, Config{Network: testNetwork(t, "a")})
			for j := range i {
				if connect(j, i) {
					l.connect(i, j)
				}
			}
		}
		f(t, l)
	})
}

func everybody(int, int) bool { return true }

func testNetwork(t testing.TB, name string) swarm.NetworkID {
	t.Helper()
	id, err := swarm.OpenNetwork(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// add starts a peer; ctx ends it.
func (l *lab) add(ctx context.Context, cfg Config) *labPeer {
	l.t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &labPeer{addr: ma.StringCast(fmt.Sprintf("/memory/%d", len(l.peers)+1))}
	p.host, err = libp2p.New(libp2p.Identity(key), libp2p.Transport(l.wires.Transport), libp2p.ListenAddrs(p.addr), libp2p.NoSecurity,
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.ForceReachabilityPublic(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		l.t.Fatal(err)
	}
	cfg.Host = p.host
	if p.Service, err = New(cfg); err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	context.AfterFunc(ctx, func() {
		if err := <-done; err != nil {
			l.t.Errorf("Run: %v", err)
		}
		p.Close()
		p.host.Close()
	})
	l.peers = append(l.peers, p)
	return p
}

func (l *lab) connect(i, j int) {
	l.t.Helper()
	to := l.peers[j]
	if err := l.peers[i].host.Connect(context.Background(), to.info()); err != nil {
		l.t.Fatal(err)
	}
}

func (p *labPeer) info() peer.AddrInfo {
	return peer.AddrInfo{ID: p.host.ID(), Addrs: []ma.Multiaddr{p.addr}}
}

func (l *lab) subscribe(p *labPeer, topic string) *Subscription {
	l.t.Helper()
	sub, err := p.Subscribe(topic)
	if err != nil {
		l.t.Fatal(err)
	}
	return sub
}

func (l *lab) publish(p *labPeer, topic, text string) int {
	l.t.Helper()
	n, err := p.Publish(context.Background(), topic, []byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// hears fails unless the next message of sub comes within the time given and is text.
func (l *lab) hears(sub *Subscription, within time.Duration, text string) Message {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	m, err := sub.Next(ctx)
	if err != nil || string(m.Data) != text {
		l.t.Fatalf("the next message is %q, %v; want %q", m.Data, err, text)
	}
	return m
}

// silent fails if a message of sub comes within the time given.
func (l *lab) silent(sub *Subscription, within time.Duration) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if m, err := sub.Next(ctx); err == nil {
		l.t.Fatalf("there is a message %q", m.Data)
	}
}
