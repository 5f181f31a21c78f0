package sim_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/sim"
)

// sized returns the quick size of something, or the full one.
func sized[T any](quick, whole T) T {
	if full {
		return whole
	}
	return quick
}

// writers is how many callers write at once.
const writers = 16

// A ledger keeps what was acknowledged.
type ledger struct {
	mu       sync.Mutex
	newest   map[string]records.Version // guarded by mu; acknowledged, by key
	attempts map[string]int             // guarded by mu; writes ever begun, by key
	failed   int                        // guarded by mu; writes whose outcome is not known
	onAck    func(records.Written)      // guarded by mu; called in the moment of an acknowledgement; may be nil
}

func newLedger() *ledger {
	return &ledger{newest: map[string]records.Version{}, attempts: map[string]int{}}
}

// acknowledged returns the newest acknowledged version of every key.
func (l *ledger) acknowledged() map[string]records.Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.newest)
}

// keys returns every key that anybody ever tried to write, sorted.
func (l *ledger) keys() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.attempts))
}

// put writes the next value of a key through the peer and notes the outcome.
func (l *ledger) put(ctx context.Context, p *sim.Peer, key string, size int, level records.Consistency) error {
	l.mu.Lock()
	attempt := l.attempts[key]
	l.attempts[key]++
	l.mu.Unlock()
	w, err := p.Put(ctx, key, valueOf(key, attempt, size), records.PutOptions{Consistency: level})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed++
		return err
	}
	if w.Version.Compare(l.newest[key]) > 0 {
		l.newest[key] = w.Version
	}
	if l.onAck != nil {
		l.onAck(w)
	}
	return nil
}

// fill writes count records through all peers; every write must succeed.
func (l *ledger) fill(ctx context.Context, t *testing.T, n *sim.Network, prefix string, count, size int) {
	t.Helper()
	peers := n.Peers()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < count; i += writers {
				if err := l.put(ctx, peers[i%len(peers)], fmt.Sprintf("%s%d", prefix, i), size, records.Quorum); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// load writes without end through random peers until stop is called: records that are new, and now and then one again. pause is the time between two writes of a caller.
func (l *ledger) load(ctx context.Context, n *sim.Network, prefix string, size int, pause time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				fresh := i
				if i%4 == 3 {
					fresh = i / 2
				}
				if peers := n.Pick(1); len(peers) == 1 {
					_ = l.put(ctx, peers[0], fmt.Sprintf("%s%d/%d", prefix, w, fresh), size, records.Quorum) // counted
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// valueOf returns a value that tells which write it is of, and whether it is whole.
func valueOf(key string, attempt, size int) []byte {
	text := fmt.Sprintf("%s/%d;", key, attempt)
	return bytes.Repeat([]byte(text), max(1, (size+len(text)-1)/len(text)))
}

// checkWhole returns an error unless the value is one that was written to the key, with nothing missing or mixed in.
func checkWhole(key string, value []byte, attempts, size int) error {
	var attempt int
	first, _, _ := strings.Cut(string(value), ";")
	if _, err := fmt.Sscanf(strings.TrimPrefix(first, key+"/"), "%d", &attempt); err != nil || attempt >= attempts || !bytes.Equal(value, valueOf(key, attempt, size)) {
		return fmt.Errorf("%s holds a value of %d bytes that nobody wrote: %.60q", key, len(value), value)
	}
	return nil
}

// checkValues reads every key that was ever tried through random peers: what was acknowledged is there, as new as that, and no value is half of one.
func (l *ledger) checkValues(ctx context.Context, n *sim.Network, size int) error {
	if err := n.CheckReadable(ctx, l.acknowledged()); err != nil {
		return err
	}
	peers := n.Peers()
	for i, key := range l.keys() {
		r, err := peers[i%len(peers)].Get(ctx, key, records.GetOptions{})
		if err != nil {
			continue // acknowledged ones were read above
		}
		if err := checkWhole(key, r.Value, l.attempts[key], size); err != nil {
			return err
		}
	}
	return nil
}

// quantiles returns p50, p99 and the maximum.
func quantiles(delays []time.Duration) string {
	if len(delays) == 0 {
		return "none measured"
	}
	slices.Sort(delays)
	at := func(permille int) time.Duration { return delays[(len(delays)-1)*permille/1000].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p99 %s, max %s of %d", at(500), at(990), at(1000), len(delays))
}

// mustStart gives power to a peer.
func mustStart(t *testing.T, p *sim.Peer) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
}

// mustAdd starts a fresh peer.
func mustAdd(t *testing.T, n *sim.Network, zone string) *sim.Peer {
	t.Helper()
	p, err := n.Add(zone)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
