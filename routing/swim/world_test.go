package swim

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the simulated networks; 0 picks one")

func newSeed(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d (repeat with -seed)", seed)
	return seed
}

// world is a network of machines with virtual time. Messages travel as over a reliable stream: a lost packet is sent again after
// a retransmission timeout that doubles.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	now    time.Time
	events events
	seq    int
	nodes  []*node
	byID   map[peer.ID]*node
	timing Timing
	// loss is the probability that a packet is lost; cut says whether packets from one node to another are lost for sure.
	loss float64
	cut  func(from, to *node) bool
	// refuse makes dead nodes refuse connections rather than stay silent.
	refuse bool
	probes int
	// processor is what all nodes share; nil when their work takes no time.
	processor *processor
}

const (
	simRTO      = 200 * time.Millisecond
	simAttempts = 6
)

// node is one simulated peer.
type node struct {
	w         *world
	id        peer.ID
	m         *Machine
	running   bool
	frozen    bool
	departure Departure
	life      int      // counts restarts; events of an earlier life are void
	waiting   []func() // what happens to a frozen node when it thaws
	timer     time.Time
	armed     int  // counts how often the timer was set, on a processor
	ticking   bool // the timer has fired, and the tick waits for the processor
	log       []verdict
}

type verdict struct {
	at       time.Time
	about    peer.ID
	from, to State
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	x := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return x
}

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.UnixMilli(1_700_000_000_000), timing: Default(), byID: make(map[peer.ID]*node)}
	for i := range n {
		nd := &node{w: w, id: peer.ID(fmt.Sprintf("peer-%03d", i))}
		w.nodes = append(w.nodes, nd)
		w.byID[nd.id] = nd
		w.after(time.Duration(i)*20*time.Millisecond, func() { nd.start(nil) })
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, do})
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// send delivers a packet, retransmitting it while it is lost.
func (w *world) send(from, to *node, deliver func()) {
	w.attempt(from, to, to.life, 0, deliver)
}

func (w *world) attempt(from, to *node, life, n int, deliver func()) {
	if w.rand.Float64() < w.loss || w.cut != nil && w.cut(from, to) {
		if n+1 < simAttempts {
			w.after(simRTO<<n, func() { w.attempt(from, to, life, n+1, deliver) })
		}
		return
	}
	latency := time.Millisecond + time.Duration(w.rand.IntN(4000))*time.Microsecond
	w.after(latency, func() {
		if to.life == life {
			to.when(deliver)
		}
	})
}

// when runs do now, or when the node thaws; never once it has stopped.
func (n *node) when(do func()) {
	switch {
	case !n.running:
	case n.frozen:
		n.waiting = append(n.waiting, do)
	case n.w.processor != nil:
		life := n.life
		n.w.processor.work(n.w, messageWork, func() {
			if n.running && n.life == life {
				do()
				n.act()
			}
		})
	default:
		do()
		n.act()
	}
}

func (n *node) claim(away time.Duration) *Claim {
	inc := uint64(n.w.now.UnixMilli())
	if n.m != nil {
		inc = max(inc, n.m.Self().Incarnation+1)
	}
	return &Claim{ID: n.id, Incarnation: inc, Away: away, Departure: n.departure, Sealed: []byte(n.id)}
}

// start begins a new life of the node, connected to the first other that runs.
func (n *node) start(remembered []*Claim) {
	n.life++
	c := n.claim(0)
	m, err := New(Config{Self: c, Remembered: remembered, Timing: n.w.timing, Rand: rand.New(rand.NewPCG(n.w.rand.Uint64(), 2))}, n.w.now)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.m, n.running, n.frozen, n.waiting, n.timer, n.ticking = m, true, false, nil, time.Time{}, false
	for _, o := range n.w.nodes {
		if o != n && o.running && !o.frozen {
			n.m.Met(n.w.now, o.id)
			o.m.Met(n.w.now, n.id)
			o.act()
			break
		}
	}
	n.act()
}

func (n *node) kill() { n.running = false }

func (n *node) freeze() { n.frozen = true }

func (n *node) thaw() {
	n.frozen = false
	waiting := n.waiting
	n.waiting = nil
	for _, do := range waiting {
		n.when(do)
	}
}

// act carries out what the machine asks for and sets its timer.
func (n *node) act() {
	for {
		actions := n.m.Actions()
		if len(actions) == 0 {
			break
		}
		for _, a := range actions {
			n.perform(a)
		}
	}
	if n.w.processor != nil {
		n.setTimer()
		return
	}
	if next := n.m.Next(); n.timer.IsZero() || next.Before(n.timer) || !n.timer.After(n.w.now) {
		n.timer = next
		life := n.life
		n.w.after(max(next.Sub(n.w.now), time.Millisecond), func() {
			if n.life == life {
				n.when(func() {
					if !n.timer.After(n.w.now) {
						n.timer = time.Time{}
					}
					n.m.Tick(n.w.now)
				})
			}
		})
	}
}

// setTimer has the machine ticked at Next, by a timer that wakes a thread of execution, which then waits for its turn.
func (n *node) setTimer() {
	n.armed++
	armed, life := n.armed, n.life
	if n.ticking {
		return
	}
	n.w.after(max(0, n.m.Next().Sub(n.w.now)), func() {
		if n.life != life || n.armed != armed || n.ticking {
			return
		}
		n.ticking = true
		n.when(func() {
			n.ticking = false
			n.m.Tick(n.w.now)
		})
	})
}

func (n *node) perform(a Action) {
	w := n.w
	switch a := a.(type) {
	case Probe:
		start := w.now
		n.ping(a.Target, a.Timeout, func() { n.m.Answered(w.now, a.ID, w.now.Sub(start)) }, func(refused bool) { n.m.Failed(w.now, a.ID, refused) })
	case Ask:
		helper := w.node(a.Helper)
		life := n.life
		reply := func(do func()) {
			w.send(helper, n, func() {
				if n.life == life {
					do()
				}
			})
		}
		w.send(n, helper, func() {
			if o := w.node(a.Target); o.running && !o.frozen {
				o.m.Sought(w.now, n.id, helper.id)
				o.act()
			}
			helper.ping(a.Target, a.Timeout*4/5, func() { reply(func() { n.m.Vouched(w.now, a.ID) }) }, func(bool) { reply(func() { n.m.Denied(w.now, a.ID) }) })
		})
	case Sync:
		o := w.node(a.Target)
		w.send(n, o, func() {
			claims, present := o.all()
			w.send(o, n, func() { n.m.Learn(w.now, o.id, claims, present) })
		})
		claims, present := n.all()
		w.send(n, o, func() { o.m.Learn(w.now, n.id, claims, present) })
	case Refute:
		c := n.claim(n.m.Self().Away)
		c.Incarnation = max(c.Incarnation, a.Above+1)
		n.m.Announce(w.now, c)
	case Changed:
		if a.From != a.Member.State {
			n.log = append(n.log, verdict{w.now, a.Member.Claim.ID, a.From, a.Member.State})
		}
	}
}

// ping makes one exchange of messages with another node.
func (n *node) ping(target peer.ID, timeout time.Duration, answered func(), failed func(refused bool)) {
	w, o, life, done := n.w, n.w.node(target), n.life, false
	w.probes++
	once := func(do func()) func() {
		return func() {
			if !done && n.life == life {
				done = true
				do()
			}
		}
	}
	w.after(timeout, func() {
		if !done {
			n.when(once(func() { failed(false) }))
		}
	})
	if !o.running {
		if w.refuse {
			w.after(time.Millisecond, func() { n.when(once(func() { failed(true) })) })
		}
		return
	}
	if w.processor != nil && !w.processor.connected(n, o) {
		w.processor.handshake(w, n, o, func() bool { return done || n.life != life }, func() { n.exchange(o, once(answered)) })
		return
	}
	n.exchange(o, once(answered))
}

// exchange sends another node a message and takes its answer in.
func (n *node) exchange(o *node, answered func()) {
	w, life := n.w, n.life
	msg := n.m.Compose(o.id)
	w.send(n, o, func() {
		o.m.Receive(w.now, n.id, msg)
		o.m.Met(w.now, n.id)
		answer := o.m.Compose(n.id)
		w.send(o, n, func() {
			if n.life == life {
				n.m.Receive(w.now, o.id, answer)
				answered()
			}
		})
	})
}

func (n *node) all() (claims []*Claim, present []peer.ID) {
	for _, e := range n.m.Entries() {
		claims = append(claims, n.m.Claim(e.ID))
		present = append(present, e.ID)
	}
	return claims, present
}

func (w *world) node(id peer.ID) *node {
	return w.byID[id]
}

func (n *node) state(of *node) State {
	m, _ := n.m.Member(of.id)
	return m.State
}

// want fails the test unless every node of observers sees every node of observed in one of the given states.
func (w *world) want(what string, observers, observed []*node, states ...State) {
	w.t.Helper()
	bad := 0
	for _, n := range observers {
		for _, o := range observed {
			if s := n.state(o); n != o && !slices.Contains(states, s) {
				if bad++; bad <= 5 {
					w.t.Errorf("%s: %q sees %q as %v, want %v", what, string(n.id), string(o.id), s, states)
				}
			}
		}
	}
	if bad > 5 {
		w.t.Errorf("%s: and %d more", what, bad-5)
	}
}

// others returns the nodes but those given.
func (w *world) others(but ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return slices.Contains(but, n) })
}

// settle lets the network form.
func (w *world) settle() {
	w.t.Helper()
	w.run(time.Duration(len(w.nodes))*20*time.Millisecond + 4*time.Second)
	w.want("settled", w.nodes, w.nodes, Alive)
	if w.t.Failed() {
		w.t.FailNow()
	}
	// The moment of the fault is random.
	w.run(time.Duration(w.rand.IntN(2000)) * time.Millisecond)
}

// slowest returns how long after since the last of observers first saw o in one of the given states.
func slowest(since time.Time, observers []*node, o *node, states ...State) time.Duration {
	var worst time.Duration
	for _, n := range observers {
		for _, v := range n.log {
			if v.about == o.id && v.at.After(since) && slices.Contains(states, v.to) {
				worst = max(worst, v.at.Sub(since))
				break
			}
		}
	}
	return worst
}
