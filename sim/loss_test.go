package sim_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/sim"
)

// A loss is one of several random choices in a network that goes on afterwards, with fresh peers in place of the lost ones.
type loss struct {
	t       *testing.T
	network *sim.Network
	ledger  *ledger
	choice  int
	delays  []time.Duration // from each loss until everything was back at its full count
	late    []time.Duration // from then until everything could be read: copies are there a moment before their holders know that they have all
}

const lossValue = 256

// readableWithin is how soon after everything is back at its full count all of it can be read.
const readableWithin = 10 * time.Second

// losses runs a number of choices on each of several networks side by side. zones are those of a network's peers.
func losses(t *testing.T, zones []string, networks, choices int, choose func(ctx context.Context, l *loss) (lost []*sim.Peer)) {
	t.Helper()
	for i := range networks {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			simulate(t, sim.Config{Zones: zones, Seed: seedOf(t, i)}, func(t *testing.T, n *sim.Network) {
				l := &loss{t: t, network: n, ledger: newLedger()}
				for l.choice = range choices {
					l.lose(t.Context(), choose)
				}
				t.Logf("%d choices, %d records acknowledged, %d writes of unknown outcome; from loss to full count: %s; from there until all could be read: %s",
					choices, len(l.ledger.acknowledged()), l.ledger.failed, quantiles(l.delays), quantiles(l.late))
			})
		})
	}
}

// lose makes one choice and waits until the network has made up for it.
func (l *loss) lose(ctx context.Context, choose func(ctx context.Context, l *loss) (lost []*sim.Peer)) {
	t, n := l.t, l.network
	t.Helper()
	lost := choose(ctx, l)
	took, err := n.AwaitFullCount(ctx, l.ledger.acknowledged(), repairWithin)
	if err != nil {
		t.Fatalf("choice %d, without %v: %v", l.choice, lost, err)
	}
	l.delays = append(l.delays, took)
	t.Logf("choice %d: without %v, back at full count after %s", l.choice, lost, took.Round(time.Millisecond))
	late, err := n.AwaitReadable(ctx, l.ledger.acknowledged(), readableWithin)
	if err != nil {
		t.Fatalf("choice %d, without %v: %v", l.choice, lost, err)
	}
	l.late = append(l.late, late)
	if err := l.ledger.checkValues(ctx, n, lossValue); err != nil {
		t.Fatalf("choice %d, without %v: %v", l.choice, lost, err)
	}
	for _, p := range lost {
		mustAdd(t, n, p.Zone())
	}
	if err := n.AwaitViews(ctx, repairWithin); err != nil {
		t.Fatalf("choice %d: %v", l.choice, err)
	}
}

// prefix is what the choice's keys begin with: every few choices write over what is there.
func (l *loss) prefix() string { return fmt.Sprintf("choice%d/", l.choice%4) }

// victims returns k peers that run; every other time as many of them as possible hold the key.
func (l *loss) victims(ctx context.Context, k int, key string) []*sim.Peer {
	victims := l.network.Pick(k)
	if l.choice%2 == 1 {
		return victims
	}
	copies, err := l.network.LiveCopies(ctx, key)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range copies {
		if !slices.Contains(victims, c.Peer) {
			victims = append([]*sim.Peer{c.Peer}, victims...)
		}
	}
	return victims[:k]
}

// TestLossAtAcknowledgement destroys any two peers in the moment in which a write is acknowledged.
func TestLossAtAcknowledgement(t *testing.T) {
	const batch = 40
	losses(t, sim.SpreadZones(sized(7, 32)), sized(1, 5), sized(2, 10), func(ctx context.Context, l *loss) (lost []*sim.Peer) {
		var left atomic.Int32
		left.Store(int32(1 + l.network.IntN(batch)))
		l.ledger.mu.Lock()
		l.ledger.onAck = func(w records.Written) {
			if left.Add(-1) != 0 {
				return
			}
			lost = l.victims(ctx, 2, w.Key)
			for _, p := range lost {
				p.Destroy()
			}
		}
		l.ledger.mu.Unlock()
		stop := l.ledger.load(ctx, l.network, l.prefix(), lossValue, 5*time.Millisecond)
		for left.Load() > 0 {
			time.Sleep(time.Millisecond)
		}
		stop()
		return lost
	})
}

// TestLossAtFullCount destroys any four peers at once when every record has all its copies.
func TestLossAtFullCount(t *testing.T) {
	losses(t, sim.SpreadZones(sized(9, 32)), sized(1, 5), sized(1, 10), func(ctx context.Context, l *loss) []*sim.Peer {
		l.ledger.fill(ctx, l.t, l.network, l.prefix(), 20, lossValue)
		if _, err := l.network.AwaitFullCount(ctx, l.ledger.acknowledged(), repairWithin); err != nil {
			l.t.Fatal(err)
		}
		lost := l.victims(ctx, 4, fmt.Sprint(l.prefix(), l.network.IntN(20)))
		for _, p := range lost {
			p.Destroy()
		}
		return lost
	})
}

// TestZoneLoss destroys all peers of one of three zones while writes go on.
func TestZoneLoss(t *testing.T) {
	zones := []string{"a", "b", "c"}
	losses(t, sim.SpreadZones(sized(9, 15), zones...), sized(1, 5), sized(1, 10), func(ctx context.Context, l *loss) (lost []*sim.Peer) {
		stop := l.ledger.load(ctx, l.network, l.prefix(), lossValue, 20*time.Millisecond)
		time.Sleep(time.Duration(20+l.network.IntN(100)) * time.Millisecond)
		zone := zones[l.network.IntN(len(zones))]
		for _, p := range l.network.Peers() {
			if p.Zone() == zone {
				p.Destroy()
				lost = append(lost, p)
			}
		}
		time.Sleep(time.Duration(l.network.IntN(500)) * time.Millisecond)
		stop()
		return lost
	})
}

// TestDelayToFullCount measures how long after its acknowledgement a record has all its copies.
func TestDelayToFullCount(t *testing.T) {
	const spread = 30 * time.Millisecond
	peers, count := sized(6, 32), sized(50, 1000)
	simulate(t, sim.Config{Zones: sim.SpreadZones(peers), Spread: spread}, func(t *testing.T, n *sim.Network) {
		ctx := t.Context()
		l := newLedger()
		l.fill(ctx, t, n, "warm", 50, lossValue)
		var delays []time.Duration
		for i := range count {
			key := fmt.Sprint("key", i)
			if err := l.put(ctx, n.Pick(1)[0], key, lossValue, records.Quorum); err != nil {
				t.Fatal(err)
			}
			took, err := n.AwaitCopies(ctx, key, l.acknowledged()[key], time.Second)
			if err != nil {
				t.Error(err)
			}
			delays = append(delays, took)
		}
		t.Logf("from acknowledgement to full count, links of up to %s one way and disks that cost nothing: %s", spread+time.Millisecond, quantiles(delays))
	})
}
