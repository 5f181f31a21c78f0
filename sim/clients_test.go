package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/sim"
	"github.com/folkmoot/folkmoot/sim/history"
)

const (
	// hotKeys is how many keys are worked on at the same time; keysEvery is how often one of them is left alone and another comes in. So every key sees concurrent operations of many
	// clients, and few enough that their history can be judged.
	hotKeys   = 4
	keysEvery = 700 * time.Millisecond
	// think is the most that a client waits between two operations.
	think = 150 * time.Millisecond
	// opTimeout bounds an operation, as a caller's patience does.
	opTimeout = 3 * time.Second
)

// A recorder has clients work on a network and writes down what they saw.
type recorder struct {
	t       *testing.T
	network *sim.Network
	history *history.History
	start   time.Time
	seed    uint64

	mu    sync.Mutex
	sides map[*sim.Peer]int // guarded by mu; while the network is divided
	lives map[*sim.Peer]int // guarded by mu; how often a peer was restarted
}

func newRecorder(t *testing.T, n *sim.Network, seed uint64) *recorder {
	return &recorder{t: t, network: n, history: &history.History{}, start: time.Now(), seed: seed, sides: map[*sim.Peer]int{}, lives: map[*sim.Peer]int{}}
}

func (r *recorder) now() int64 { return int64(time.Since(r.start)) }

// place returns the node that a peer is now, and its side.
func (r *recorder) place(p *sim.Peer) (node string, side int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%s.%d", p, r.lives[p]), r.sides[p]
}

// restarted counts a peer's lives: what is said of one node is not said of another life of it.
func (r *recorder) restarted(p *sim.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lives[p]++
}

// A client asks one thing after the other. Half of the clients carry a session from peer to peer; each of the others stays with the peer that it has while it runs.
type client struct {
	*recorder
	id      int
	rng     *rand.Rand
	peer    *sim.Peer
	session records.Session
	roams   bool
	count   int
	seen    map[string]seenVersion // by key, what the client saw last
}

type seenVersion struct {
	version records.Version
	value   string
}

// run has clients work until ctx ends.
func (r *recorder) run(ctx context.Context, clients int) {
	var wg sync.WaitGroup
	for i := range clients {
		c := &client{recorder: r, id: i + 1, rng: rand.New(rand.NewPCG(r.seed, uint64(100+i))), roams: i%2 == 0, seen: map[string]seenVersion{}}
		wg.Go(func() {
			for ctx.Err() == nil {
				c.one(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(c.rng.Int64N(int64(think)))):
				}
			}
		})
	}
	wg.Wait()
}

// key returns a key that is worked on now, or sometimes an older one.
func (c *client) key() string {
	newest := int(time.Since(c.start) / keysEvery)
	k := newest - c.rng.IntN(hotKeys)
	if c.rng.IntN(10) == 0 {
		k = c.rng.IntN(newest + 1)
	}
	return fmt.Sprintf("key%d", max(k, 0))
}

// one makes one operation.
func (c *client) one(ctx context.Context) {
	if c.roams || c.peer == nil || !c.peer.Running() {
		picked := c.network.Pick(1)
		if len(picked) == 0 {
			return
		}
		c.peer = picked[0]
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTimeout)
	defer cancel()
	o := history.Op{Key: c.key(), Call: c.now()}
	o.Node, o.Side = c.place(c.peer)
	if c.roams {
		o.Session = c.id
	}
	c.count++
	switch n := c.rng.IntN(20); {
	case n < 8:
		c.get(ctx, &o)
	case n < 10:
		o.Kind = history.Delete
		if conditional(o.Key) {
			c.condition(&o, n)
		}
		c.write(ctx, &o)
	default:
		o.Kind = history.Put
		o.Value = strings.Repeat(fmt.Sprintf("%d/%d;", c.id, c.count), 1+c.rng.IntN(200))
		c.condition(&o, n)
		c.write(ctx, &o)
	}
	o.Return = c.now()
	c.history.Add(o)
}

// conditional reports whether a key is only written conditionally: every other one.
func conditional(key string) bool { return (key[len(key)-1]-'0')%2 == 1 }

func (c *client) condition(o *history.Op, n int) {
	seen, ok := c.seen[o.Key]
	always := conditional(o.Key)
	switch {
	case ok && (always || n == 19):
		o.If.Value = seen.value
	case always || n == 18:
		o.If.Absent = true
	}
}

func (c *client) get(ctx context.Context, o *history.Op) {
	o.Kind = history.Get
	r, err := c.peer.Get(ctx, o.Key, records.GetOptions{Session: c.session})
	switch {
	case err == nil:
		o.Outcome, o.Value, o.Version = history.OK, string(r.Value), r.Version.String()
		c.saw(o.Key, r.Version, o.Value, r.Session)
	case fault.KindOf(err) == fault.NotFound:
		o.Outcome = history.NotFound
		delete(c.seen, o.Key)
	}
}

func (c *client) write(ctx context.Context, o *history.Op) {
	opts := records.PutOptions{Session: c.session, If: records.Condition{Absent: o.If.Absent}}
	if o.If.Value != "" {
		opts.If.Version = c.seen[o.Key].version
	}
	var w records.Written
	var err error
	if o.Kind == history.Delete {
		w, err = c.peer.Delete(ctx, o.Key, opts)
	} else {
		w, err = c.peer.Put(ctx, o.Key, []byte(o.Value), opts)
	}
	switch {
	case err == nil:
		o.Outcome, o.Version = history.OK, w.Version.String()
		c.saw(o.Key, w.Version, o.Value, w.Session)
		if o.Kind == history.Delete {
			delete(c.seen, o.Key)
		}
	case fault.KindOf(err) == fault.Conflict && o.If != (history.Condition{}):
		o.Outcome = history.Conflict
	}
}

func (c *client) saw(key string, v records.Version, value string, s records.Session) {
	c.seen[key] = seenVersion{v, value}
	if c.roams {
		c.session = s
	}
}

// finish heals everything, waits until all peers agree, and judges the history.
func (r *recorder) finish(ctx context.Context) {
	t, h := r.t, r.history
	t.Helper()
	keys := map[string]bool{}
	for i := range h.Ops {
		keys[h.Ops[i].Key] = true
	}
	h.Final = map[string]history.State{}
	var names []string
	for key := range keys {
		names = append(names, key)
	}
	answers, err := awaitAnswers(ctx, r.network, names)
	if err != nil {
		t.Fatal(err)
	}
	for key, a := range answers {
		h.Final[key] = history.State{Found: a.found, Value: a.value}
		if a.found {
			h.Final[key] = history.State{Found: true, Version: a.version.String(), Value: a.value}
		}
	}
	t.Logf("%d operations on %d keys: %d done, %d found nothing, %d refused, %d of unknown outcome",
		len(h.Ops), len(keys), h.Count(history.OK), h.Count(history.NotFound), h.Count(history.Conflict), h.Count(history.Unknown))
	violations := r.spareLateReads(history.Check(h))
	const shown = 10
	for i, v := range violations {
		if i == shown {
			t.Errorf("and %d more", len(violations)-shown)
			break
		}
		t.Error(v)
	}
}

// lateReads is how many operations there must be for each read that may miss what was acknowledged a moment before, one more in all. While holders change under faults, few reads do,
// through a peer that did not write it and without a session that saw it; docs/records.md has the figure. What is acknowledged is seen a moment later, and never lost: other checks have no exceptions.
const lateReads = 20_000

// spareLateReads prints the reads that came too early to see a write, and returns the other violations, and those reads too where there are more than may be.
func (r *recorder) spareLateReads(all []*history.Violation) (violations []*history.Violation) {
	r.t.Helper()
	spared := 1 + len(r.history.Ops)/lateReads
	for _, v := range all {
		if v.Promise == history.ReadsSeeWrites && spared > 0 {
			spared--
			r.t.Logf("a late read: %v", v)
			continue
		}
		violations = append(violations, v)
	}
	return violations
}

// awaitAnswers waits until all peers see one another and say the same of every key.
func awaitAnswers(ctx context.Context, n *sim.Network, keys []string) (answers map[string]read, err error) {
	for start := time.Now(); time.Since(start) < convergeWithin; time.Sleep(time.Second) {
		if err = n.AwaitViews(ctx, convergeWithin); err != nil {
			continue
		}
		if answers, err = agree(ctx, n, keys); err == nil {
			return answers, nil
		}
	}
	return nil, err
}
