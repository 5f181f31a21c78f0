package routing_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// TestRumoursOfDeath: a member tells everybody, over and over, that everybody else is dead. Nobody believes it, and records are written and read as ever.
func TestRumoursOfDeath(t *testing.T) {
	gather(t, 7, 0, func(t *testing.T, c *crowd) {
		honest, liar := c.nodes[:6], c.nodes[6]
		var stores []*records.Store
		var running sync.WaitGroup
		for _, n := range c.nodes {
			s := openRecords(t, n)
			stores = append(stores, s)
			running.Go(func() {
				if err := s.Run(context.Background()); err != nil { // until it is closed
					t.Error(err)
				}
			})
		}
		defer func() {
			for _, s := range stores {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			running.Wait()
		}()
		time.Sleep(10 * time.Second)
		lying, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		told := spreadRumours(t, lying, liar, honest)
		for i := 0; lying.Err() == nil; i++ {
			key := fmt.Sprint("key", i)
			start := time.Now()
			if _, err := stores[i%6].Put(t.Context(), key, []byte(key), records.PutOptions{}); err != nil {
				t.Errorf("put: %v", err)
			}
			if r, err := stores[(i+1)%6].Get(t.Context(), key, records.GetOptions{}); err != nil || string(r.Value) != key {
				t.Errorf("get = %q, %v", r.Value, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("put and get took %v", took)
			}
			for _, n := range honest {
				for _, o := range honest {
					if m, _ := n.View().Member(o.host.ID()); m.State != routing.Alive {
						t.Fatalf("a peer that runs is seen as %v", m.State)
					}
				}
			}
			time.Sleep(250 * time.Millisecond)
		}
		if n := told(); n < 100 {
			t.Errorf("only %d messages of rumours were taken", n)
		}
	})
}

func openRecords(t *testing.T, n *crowdNode) *records.Store {
	t.Helper()
	s, err := records.Open(records.Config{
		Host: n.host, Key: n.key, Network: openNetwork(t, "crowd"), Viewer: n.Membership, Dir: "records", FS: vfs.NewMem(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spreadRumours has liar tell each of the others that the rest is dead, until ctx ends; told waits for that and returns how many messages were answered.
func spreadRumours(t *testing.T, ctx context.Context, liar *crowdNode, others []*crowdNode) (told func() int) {
	t.Helper()
	client, err := rpc.NewClient(rpc.ClientConfig{Host: liar.host, Protocol: routing.MembershipProtocol(openNetwork(t, "crowd"))})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			for _, to := range others {
				var dead []peer.ID
				for _, o := range others {
					if o != to {
						dead = append(dead, o.host.ID())
					}
				}
				message, err := routing.RumoursOfDeath(dead)
				if err != nil {
					t.Error(err)
				}
				if _, err := client.Call(ctx, to.host.ID(), message); err == nil {
					n++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return func() int {
		done.Wait()
		client.Close()
		return n
	}
}
