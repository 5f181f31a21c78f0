package discovery_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/discoverytest"
)

// simulate returns n libp2p hosts on a simulated network.
func simulate(t *testing.T, n int) []host.Host {
	t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: 20 * simlibp2p.OneMbps}
	sim, meta, err := simlibp2p.SimpleLibp2pNetwork([]simlibp2p.NodeLinkSettingsAndCount{{
		LinkSettings: simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}, Count: n,
	}}, simnet.StaticLatency(5*time.Millisecond), simlibp2p.NetworkSettings{})
	if err != nil {
		t.Fatal(err)
	}
	sim.Start()
	t.Cleanup(func() {
		for _, h := range meta.Nodes {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		sim.Close()
	})
	return meta.Nodes
}

// TestConnectorOnLibp2p has libp2p's own hosts connect and be identified: one known by id, one by address, one of another
// network, and one that is away.
func TestConnectorOnLibp2p(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ours, theirs = protocol.ID("/folkmoot/ours/1"), protocol.ID("/folkmoot/theirs/1")
		hosts := simulate(t, 5)
		self, byID, byAddr, foreign, away := hosts[0], hosts[1], hosts[2], hosts[3], hosts[4]
		for _, h := range hosts {
			h.SetStreamHandler(ours, func(s network.Stream) { _ = s.Reset() })
		}
		foreign.RemoveStreamHandler(ours)
		foreign.SetStreamHandler(theirs, func(s network.Stream) { _ = s.Reset() })
		awayAddrs := away.Addrs()
		if err := away.Network().Close(); err != nil {
			t.Fatal(err)
		}
		learn := func(_ context.Context, addr ma.Multiaddr) (peer.ID, error) {
			for _, h := range hosts {
				if ma.Contains(h.Addrs(), addr) {
					return h.ID(), nil
				}
			}
			return "", errors.New("nobody is there")
		}
		finder := discoverytest.NewMemory("memory")
		finder.Set(
			peer.AddrInfo{ID: byID.ID(), Addrs: byID.Addrs()},
			peer.AddrInfo{Addrs: byAddr.Addrs()},
			peer.AddrInfo{Addrs: self.Addrs()},
			peer.AddrInfo{ID: foreign.ID(), Addrs: foreign.Addrs()},
			peer.AddrInfo{ID: away.ID(), Addrs: awayAddrs},
		)
		c, err := discovery.NewConnector(discovery.ConnectorConfig{
			Host: self, Finders: []discovery.Finder{finder}, Learn: learn, Protocol: ours,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		want := []peer.ID{byID.ID(), byAddr.ID()}
		slices.Sort(want)
		expect := func(when string) {
			t.Helper()
			got := self.Network().Peers()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: connected to %v, want %v", when, got, want)
			}
		}
		time.Sleep(5 * time.Second)
		expect("at first")
		for _, id := range want {
			if got := c.FoundBy(id); !slices.Equal(got, []string{"memory"}) {
				t.Errorf("%v was found by %v", id, got)
			}
		}
		for _, id := range want {
			if err := self.Network().ClosePeer(id); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(discoverytest.MemoryRepeat + discovery.ReconnectGap)
		expect("after the connections were lost")
		cancel()
		wg.Wait()
	})
}
