package routing_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// meetOnBusyMachine starts so many peers with production hosts at once in this process, all of which know the first of them, while other work takes every processor several times, and waits until
// all see one another.
func meetOnBusyMachine(t *testing.T, peers, burners int, within time.Duration) {
	t.Helper()
	var busy sync.WaitGroup
	defer busy.Wait()
	var stop atomic.Bool
	defer stop.Store(true)
	for range burners {
		busy.Go(func() {
			for x := uint64(1); !stop.Load(); {
				for range 1 << 16 {
					x = x*6364136223846793005 + 1442695040888963407
				}
			}
		})
	}
	net := openNetwork(t, "busy")
	var hosts []host.Host
	var members []*routing.Membership
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer func() {
		cancel()
		running.Wait()
		for i, m := range members {
			m.Close()
			hosts[i].Close()
		}
	}()
	began, start := time.Now(), cpuTime()
	for i := range peers {
		key := newKey(t)
		h, err := swarm.NewHost(swarm.Config{Key: key, Network: net, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := routing.NewMembership(routing.Config{Host: h, Key: key, Network: net})
		if err != nil {
			t.Fatal(err)
		}
		hosts, members = append(hosts, h), append(members, m)
		running.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		if i > 0 {
			first := peer.AddrInfo{ID: hosts[0].ID(), Addrs: hosts[0].Addrs()}
			running.Go(func() {
				for h.Network().Connectedness(first.ID) != network.Connected && ctx.Err() == nil {
					_ = h.Connect(ctx, first) // tried again, as by a node's connector
					select {
					case <-ctx.Done():
					case <-time.After(time.Second):
					}
				}
			})
		}
	}
	for {
		least, complete := peers, 0
		for _, m := range members {
			alive := m.View().Count(routing.Alive)
			least = min(least, alive)
			if alive == peers {
				complete++
			}
		}
		took := time.Since(began)
		if complete == peers {
			conns := 0
			for _, h := range hosts {
				conns += len(h.Network().Conns())
			}
			t.Logf("%d peers beside %d busy threads: all see one another after %v, %v of CPU with that of the others, %.1f connections each", peers, burners, took.Round(time.Millisecond), cpuTime()-start, float64(conns)/float64(peers))
			return
		}
		if took > within {
			t.Fatalf("after %v %d of %d peers see all others, and one sees %d", took, complete, peers, least)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestPeersMeetOnABusyMachine(t *testing.T) { meetOnBusyMachine(t, 16, 4, time.Minute) }
