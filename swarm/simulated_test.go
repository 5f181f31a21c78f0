package swarm

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
)

// Hosts run on simulated links and time, with everything else as in production.
func TestSimulatedLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const oneWay = 10 * time.Millisecond
		sim := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(oneWay)}
		link := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
		links := simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}
		make := func(addr string) host.Host {
			h, err := NewHost(Config{Key: newKey(t), Network: testNetwork(t), Listen: []ma.Multiaddr{ma.StringCast(addr)}},
				simlibp2p.QUICSimnet(sim, links))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		a, b := make("/ip4/1.0.0.1/udp/4242/quic-v1"), make("/ip4/1.0.0.2/udp/4242/quic-v1")
		sim.Start()
		defer sim.Close()
		defer a.Close()
		defer b.Close()
		if err := a.Connect(t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		rtt, err := Ping(t.Context(), a, b.ID())
		if err != nil || rtt < 2*oneWay || rtt > 3*oneWay {
			t.Errorf("ping: %s, %v; want about %s", rtt, err, 2*oneWay)
		}
		time.Sleep(time.Hour) // of simulated time: the connection must outlive idleness
		if n := len(a.Network().ConnsToPeer(b.ID())); n != 1 {
			t.Errorf("%d connections after an hour, want 1", n)
		}
	})
}
