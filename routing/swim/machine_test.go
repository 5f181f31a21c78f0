package swim

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// rig is one machine whose surroundings are played by the test.
type rig struct {
	t   *testing.T
	m   *Machine
	now time.Time
}

func newRig(t *testing.T, remembered ...*Claim) *rig {
	t.Helper()
	r := &rig{t: t, now: time.UnixMilli(1_700_000_000_000)}
	m, err := New(Config{Self: claim("self", 100), Remembered: remembered, Timing: Default(), Rand: rand.New(rand.NewPCG(1, 2))}, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	return r
}

func claim(id peer.ID, incarnation uint64) *Claim {
	return &Claim{ID: id, Incarnation: incarnation, Sealed: []byte(id)}
}

// take returns the actions of one kind that the machine asks for.
func take[A Action](r *rig) []A {
	var out []A
	for _, a := range r.m.Actions() {
		if a, ok := a.(A); ok {
			out = append(out, a)
		}
	}
	return out
}

// admit makes ids members.
func (r *rig) admit(ids ...peer.ID) {
	r.t.Helper()
	for _, id := range ids {
		r.m.Met(r.now, id)
		for _, p := range take[Probe](r) {
			if p.Target == id {
				r.m.Receive(r.now, id, Message{Incarnation: 1, Claims: []*Claim{claim(id, 1)}})
				r.m.Answered(r.now, p.ID, time.Millisecond)
			}
		}
		r.want(id, Alive)
	}
}

func (r *rig) want(id peer.ID, s State) {
	r.t.Helper()
	if m, _ := r.m.Member(id); m.State != s {
		r.t.Errorf("%s is %v, want %v", string(id), m.State, s)
	}
}

// silence lets d pass in which nobody answers.
func (r *rig) silence(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(50 * time.Millisecond)
		r.m.Tick(r.now)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Self: claim("self", 1), Timing: Default(), Rand: rand.New(rand.NewPCG(1, 2))}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no self":        func(c *Config) { c.Self = nil },
		"no id":          func(c *Config) { c.Self = claim("", 1) },
		"no incarnation": func(c *Config) { c.Self = claim("self", 0) },
		"no randomness":  func(c *Config) { c.Rand = nil },
		"no helpers":     func(c *Config) { c.Timing.Helpers = -1 },
		"no probes":      func(c *Config) { c.Timing.MaxProbesPerPeriod = 0 },
		"suspicion":      func(c *Config) { c.Timing.SuspicionMin = c.Timing.SuspicionMax + 1 },
		"patience":       func(c *Config) { c.Timing.Patience = c.Timing.Direct },
	} {
		c := good
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	// Every duration must be positive.
	timing := reflect.TypeFor[Timing]()
	for i := range timing.NumField() {
		c := good
		if f := reflect.ValueOf(&c.Timing).Elem().Field(i); f.Type() == reflect.TypeFor[time.Duration]() {
			f.SetInt(0)
			if c.Validate() == nil {
				t.Errorf("%s of 0 was accepted", timing.Field(i).Name)
			}
		}
	}
}

func TestStrangerMustAnswerFirst(t *testing.T) {
	r := newRig(t)
	r.m.Receive(r.now, "friend", Message{Claims: []*Claim{claim("friend", 1), claim("heard-of", 1)}})
	probes := take[Probe](r)
	if len(probes) != 2 || r.m.Len() != 0 {
		t.Fatalf("%d probes and %d members, want 2 and none", len(probes), r.m.Len())
	}
	for _, p := range probes {
		if p.Target == "heard-of" {
			r.m.Failed(r.now, p.ID, false)
		} else {
			r.m.Answered(r.now, p.ID, time.Millisecond)
		}
	}
	r.want("friend", Alive)
	r.want("heard-of", 0)
	// It is tried again, ever less often, and dropped at last.
	tries := 0
	for range 6000 {
		r.now = r.now.Add(50 * time.Millisecond)
		r.m.Tick(r.now)
		for _, p := range take[Probe](r) {
			if p.Target == "heard-of" {
				tries++
				r.m.Failed(r.now, p.ID, false)
			}
		}
	}
	if tries != candidateTries-1 || len(r.m.candidates.list) != 0 {
		t.Errorf("%d more tries and %d candidates left, want %d and none", tries, len(r.m.candidates.list), candidateTries-1)
	}
}

func TestCandidateWithoutClaimIsNotAdmitted(t *testing.T) {
	r := newRig(t)
	r.m.Met(r.now, "mute")
	r.m.Answered(r.now, take[Probe](r)[0].ID, time.Millisecond)
	r.want("mute", 0)
}

func TestCandidatesAreBounded(t *testing.T) {
	r := newRig(t)
	flood := func(source peer.ID, n int) {
		for i := range n {
			r.m.Receive(r.now, source, Message{Claims: []*Claim{claim(peer.ID(fmt.Sprintf("%s/%d", source, i)), 1)}})
		}
	}
	flood("one", 2*MaxPerSource)
	if n := len(r.m.candidates.list); n != MaxPerSource {
		t.Errorf("%d candidates from one source, want %d", n, MaxPerSource)
	}
	for i := range 10 {
		flood(peer.ID(fmt.Sprint(i)), MaxPerSource)
	}
	if n := len(r.m.candidates.list); n != MaxCandidates {
		t.Errorf("%d candidates, want %d", n, MaxCandidates)
	}
	if n := len(take[Probe](r)); n > maxCandidateProbes {
		t.Errorf("%d candidates are probed at once, want at most %d", n, maxCandidateProbes)
	}
}

func TestMembersAreBounded(t *testing.T) {
	var many []*Claim
	for i := range MaxMembers + 10 {
		many = append(many, &Claim{ID: peer.ID(fmt.Sprint(i)), Addrs: []ma.Multiaddr{}})
	}
	r := newRig(t, many...)
	if r.m.Len() != MaxMembers {
		t.Errorf("%d members, want %d", r.m.Len(), MaxMembers)
	}
	if n := len(take[Probe](r)); n == 0 || n > maxProbes {
		t.Errorf("%d probes at the start, want 1 to %d", n, maxProbes)
	}
	r.m.Met(r.now, "late")
	r.m.Receive(r.now, "late", Message{Claims: []*Claim{claim("late", 1)}})
	for _, p := range take[Probe](r) {
		if p.Target == "late" {
			r.m.Answered(r.now, p.ID, time.Millisecond)
		}
	}
	r.want("late", 0)
}

func TestLateAnswerCounts(t *testing.T) {
	r := newRig(t)
	r.admit("a")
	var first ProbeID
	for first == 0 {
		r.silence(50 * time.Millisecond)
		if p := take[Probe](r); len(p) > 0 {
			first = p[0].ID
		}
	}
	r.silence(2 * time.Second)
	r.want("a", Suspect)
	r.m.Answered(r.now, first, 2*time.Second)
	r.want("a", Alive)
}

func TestProbesFromBeforeAProofSayNothing(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b")
	r.m.ConnectionLost(r.now, "a")
	var first ProbeID
	for _, p := range take[Probe](r) {
		first = p.ID
	}
	r.silence(700 * time.Millisecond)
	r.want("a", Suspect)
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", 2)}})
	r.want("a", Alive)
	r.m.Failed(r.now, first, true)
	r.silence(r.m.t.Direct - 100*time.Millisecond) // its indirect phase ends
	r.want("a", Alive)
}

func TestRefusalAroundAnAnswerIsLookedInto(t *testing.T) {
	r := newRig(t)
	r.admit("a")
	r.m.ConnectionLost(r.now, "a")
	before := take[Probe](r)[0].ID
	r.now = r.now.Add(time.Millisecond)
	r.m.ConnectionLost(r.now, "a")
	after := take[Probe](r)[0].ID
	r.now = r.now.Add(time.Millisecond)
	r.m.Answered(r.now, before, 2*time.Millisecond) // it was on its way
	r.now = r.now.Add(time.Millisecond)
	r.m.Failed(r.now, after, true)
	r.want("a", Alive)
	again := take[Probe](r)
	if len(again) != 1 {
		t.Fatalf("%d probes look into it, want 1", len(again))
	}
	r.now = r.now.Add(time.Millisecond)
	r.m.Failed(r.now, again[0].ID, true)
	r.want("a", Suspect)
}

func TestAnswersFromBeforeARefusalSayNothing(t *testing.T) {
	r := newRig(t)
	r.admit("a")
	r.m.ConnectionLost(r.now, "a")
	before := take[Probe](r)[0].ID
	r.now = r.now.Add(time.Millisecond)
	r.m.ConnectionLost(r.now, "a")
	r.m.Failed(r.now, take[Probe](r)[0].ID, true)
	r.want("a", Suspect)
	r.m.Answered(r.now, before, 5*time.Millisecond)
	r.want("a", Suspect)
}

// A connection that leads to where a member was before it moved carries nothing, though others reach the member and it refutes every suspicion.
func TestSilentConnectionIsGivenUpThoughTheMemberRuns(t *testing.T) {
	for name, sign := range map[string]func(r *rig, incarnation uint64){
		"nobody vouches": func(*rig, uint64) {},
		"it refutes": func(r *rig, incarnation uint64) {
			r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", incarnation)}})
		},
		"others vouch": func(r *rig, _ uint64) {
			for _, a := range take[Ask](r) {
				r.m.Vouched(r.now, a.ID)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.admit("a", "b", "c")
			r.m.Actions()
			disconnected := time.Duration(0)
			for elapsed := time.Duration(0); elapsed < 6*time.Second && disconnected == 0; elapsed += 50 * time.Millisecond {
				r.now = r.now.Add(50 * time.Millisecond)
				r.m.Tick(r.now)
				actions := r.m.Actions()
				for _, action := range actions {
					switch a := action.(type) {
					case Probe:
						if a.Target != "a" {
							r.m.Answered(r.now, a.ID, time.Millisecond)
						}
					case Disconnect:
						disconnected = elapsed
					}
				}
				r.m.actions = append(actions, r.m.Actions()...)
				sign(r, uint64(2+elapsed/time.Second)) // at most once a second, as with refutations
				r.m.Actions()
			}
			if disconnected == 0 {
				t.Error("the connection is kept")
			}
			t.Logf("given up after %v", disconnected)
		})
	}
}

// A slow member's connection is kept: it answers late, and others vouch for it meanwhile.
func TestSlowConnectionIsKept(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b", "c")
	r.m.Actions()
	type late struct {
		at time.Time
		id ProbeID
	}
	var waiting []late
	for range 600 {
		r.now = r.now.Add(50 * time.Millisecond)
		r.m.Tick(r.now)
		for len(waiting) > 0 && !r.now.Before(waiting[0].at) {
			r.m.Answered(r.now, waiting[0].id, 2*time.Second)
			waiting = waiting[1:]
		}
		for _, action := range r.m.Actions() {
			switch a := action.(type) {
			case Probe:
				if a.Target == "a" {
					waiting = append(waiting, late{r.now.Add(2 * time.Second), a.ID})
				} else {
					r.m.Answered(r.now, a.ID, time.Millisecond)
				}
			case Ask:
				r.m.Vouched(r.now, a.ID)
			case Disconnect:
				t.Fatalf("the connection to %s is given up", a.Target)
			}
		}
	}
	r.want("a", Alive)
}

func TestVoucherKeepsAlive(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b", "c")
	r.m.ConnectionLost(r.now, "a")
	take[Probe](r)
	r.silence(r.m.t.Direct)
	asks := take[Ask](r)
	asks = slices.DeleteFunc(asks, func(a Ask) bool { return a.Target != "a" })
	if len(asks) != 2 {
		t.Fatalf("%d helpers are asked, want both others", len(asks))
	}
	r.m.Denied(r.now, asks[0].ID)
	r.m.Vouched(r.now, asks[1].ID)
	r.want("a", Alive)
}

func TestConfirmationsShortenSuspicion(t *testing.T) {
	timing := Default()
	start := time.UnixMilli(0)
	last := timing.SuspicionMax + 1
	for n := range timing.Confirmations + 2 {
		s := suspicion{since: start}
		for i := range n {
			s.confirm(peer.ID(fmt.Sprint(i)))
			s.confirm(peer.ID(fmt.Sprint(i))) // counts once
		}
		d := s.deadline(&timing, 0, &lateness{}).Sub(start)
		if d > last || d < timing.SuspicionMin || d > timing.SuspicionMax {
			t.Errorf("with %d confirmations: %v", n, d)
		}
		if own := (&suspicion{since: start, own: n}).deadline(&timing, 0, &lateness{}).Sub(start); own != d {
			t.Errorf("%d own probes count as %v, others' as %v", n, own, d)
		}
		last = d
	}
	if last != timing.SuspicionMin {
		t.Errorf("the shortest suspicion is %v, want %v", last, timing.SuspicionMin)
	}
	if d := (&suspicion{since: start, refused: true}).deadline(&timing, 0, &lateness{}).Sub(start); d != timing.SuspicionMin {
		t.Errorf("after a refused connection: %v, want %v", d, timing.SuspicionMin)
	}
}

// The promises of Timing hold at the worst health: that of a node whose rotation takes a whole cycle.
func TestWorstHealthKeepsThePromises(t *testing.T) {
	timing := Default()
	var h health
	for range 10 {
		h.worse(3)
	}
	if d := timing.TargetCycle + h.timeout(timing.Direct) + h.timeout(timing.Indirect); d > suspectWithin {
		t.Errorf("a silent peer is suspect after %v", d)
	}
	if d := timing.TargetCycle + h.timeout(timing.Direct) + h.timeout(timing.Indirect) + h.suspicion(timing.SuspicionMax) + timing.Period; d > deadWithin {
		t.Errorf("a silent peer is dead after %v", d)
	}
	for range 10 {
		h.better()
	}
	if h != 0 {
		t.Errorf("health is %d after good probes", h)
	}
}

func TestOwnStandstillIsNobodysFault(t *testing.T) {
	for _, gap := range []time.Duration{2 * time.Second, time.Hour} {
		r := newRig(t)
		r.admit("a", "b", "c")
		r.silence(700 * time.Millisecond)
		r.now = r.now.Add(gap)
		r.m.Met(r.now, "a") // something else may come before the tick
		r.m.Tick(r.now)
		for _, id := range []peer.ID{"a", "b", "c"} {
			r.want(id, Alive)
		}
	}
}

func TestAbsentPeer(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b")
	away := &Claim{ID: "a", Incarnation: 2, Away: 30 * time.Second, Sealed: []byte("a")}
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{away}})
	r.want("a", Away)
	// It answers while it stops, and is away all the same.
	r.m.Met(r.now, "a")
	for _, p := range take[Probe](r) {
		if p.Target == "a" {
			r.m.Answered(r.now, p.ID, time.Millisecond)
		}
	}
	r.want("a", Away)
	r.m.ConnectionLost(r.now, "a")
	if p := take[Probe](r); len(p) > 0 {
		t.Errorf("the lost connection to an absent peer caused %v", p)
	}
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", 3)}})
	r.want("a", Away)
	probes := take[Probe](r)
	if len(probes) == 0 {
		t.Fatal("the peer that says it is back is not probed")
	}
	r.m.Answered(r.now, probes[0].ID, time.Millisecond)
	r.want("a", Alive)
}

func TestForgottenTenMinutesAfterLastAlive(t *testing.T) {
	r := newRig(t, &Claim{ID: "old"})
	r.admit("a")
	r.silence(20 * time.Second)
	r.want("a", Dead)
	r.want("old", Dead)
	r.silence(r.m.t.Forget - 21*time.Second)
	r.want("a", Dead)
	r.want("old", Dead)
	take[Forgotten](r)
	r.silence(2*time.Second + r.m.t.Direct + r.m.t.Indirect) // alive until it was suspect
	if got := take[Forgotten](r); len(got) != 2 || r.m.Len() != 0 {
		t.Errorf("forgotten are %v", got)
	}
}

// Whoever makes this node exchange claims with it all the time, as by asking for its proof in the name of peers that nobody knows, does not keep it from exchanging them with others.
func TestNobodyKeepsClaimsFromOthers(t *testing.T) {
	r := newRig(t)
	r.admit("liar", "a", "b", "c")
	r.m.Actions()
	with := make(map[peer.ID]int)
	for i := range 1200 {
		r.now = r.now.Add(r.m.t.SyncPause / 4)
		r.m.Sought(r.now, peer.ID(fmt.Sprint("nobody ", i)), "liar")
		r.m.Tick(r.now)
		for _, a := range r.m.Actions() {
			switch a := a.(type) {
			case Sync:
				with[a.Target]++
			case Probe:
				r.m.Answered(r.now, a.ID, time.Millisecond)
			}
		}
	}
	if others := with["a"] + with["b"] + with["c"]; others < 10 {
		t.Errorf("claims are exchanged %d times with the liar, and %d times with others", with["liar"], others)
	}
}
