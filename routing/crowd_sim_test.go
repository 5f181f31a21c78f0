//go:build sim

package routing_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// The networks that take minutes: go test -tags sim -run Crowd -timeout 30m ./routing

func TestCrowdLookupsInSmallViews(t *testing.T) { testSmallViews(t, 512, 64, 500, time.Minute) }

// TestCrowdInFullView measures what it costs to keep everybody in view: connections are given up again above a full mesh.
func TestCrowdInFullView(t *testing.T) {
	gather(t, 256, 0, func(t *testing.T, c *crowd) {
		c.measure("forming", time.Minute)
		for _, n := range c.nodes {
			if v := n.View(); len(v.Members) != len(c.nodes) || v.Count(routing.Alive) != len(c.nodes) || v.Partial {
				t.Errorf("a view of %d members, %d alive, partial: %v", len(v.Members), v.Count(routing.Alive), v.Partial)
			}
		}
		c.measure("settled", 30*time.Second)
		for _, n := range c.nodes {
			if conns := len(n.host.Network().Conns()); conns > 3*swim.MaxNeighbours/2 {
				t.Errorf("%d connections are kept", conns)
			}
		}
		c.kill(0.1)
		time.Sleep(10 * time.Second)
		wrong := 0
		for _, n := range c.alive() {
			v := n.View()
			for _, o := range c.nodes {
				if m, _ := v.Member(o.host.ID()); (m.State == routing.Dead) != o.dead {
					wrong++
				}
			}
		}
		if wrong > 0 {
			t.Errorf("ten seconds after a tenth died, %d verdicts are wrong", wrong)
		}
		c.measure("a tenth is dead", 30*time.Second)
	})
}

// TestCrowdMeetsOnABusyMachine: production hosts over TCP in one process, which has not the processor time for all handshakes at once.
func TestCrowdMeetsOnABusyMachine(t *testing.T) {
	for _, peers := range []int{64, 128} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) { meetOnBusyMachine(t, peers, 8, 6*time.Minute) })
	}
}

// TestCrowdComesTogether: hundreds of peers begin 20 ms apart, each knowing one other, and all come to have all in view.
func TestCrowdComesTogether(t *testing.T) {
	for _, n := range []int{256, 512, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			began := cpuTime()
			gather(t, n, 0, func(t *testing.T, c *crowd) {
				start := time.Now()
				for i := 0; c.complete() < n && time.Since(start) < 5*time.Minute; i++ {
					if i%5 == 0 {
						t.Logf("after %v %d of %d are complete, with %v of CPU and %.1f dials for each", time.Since(start), c.complete(), n, (cpuTime()-began)/time.Duration(n), float64(c.wires.Dialled())/float64(n))
					}
					time.Sleep(time.Second)
				}
				t.Logf("%d of %d have all others in view %v after the last began, with %v of CPU and %.1f dials for each",
					c.complete(), n, time.Since(start), (cpuTime()-began)/time.Duration(n), float64(c.wires.Dialled())/float64(n))
				if c.complete() < n {
					t.Fail()
				}
				c.measure("come together", 20*time.Second)
			})
		})
	}
}

// complete returns how many of the living have all that live in view.
func (c *crowd) complete() (complete int) {
	alive := c.alive()
	for _, n := range alive {
		if n.View().Count(routing.Alive) == len(alive) {
			complete++
		}
	}
	return complete
}
