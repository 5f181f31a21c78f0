package swim

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func departing(id peer.ID, incarnation uint64, d Departure) *Claim {
	c := claim(id, incarnation)
	c.Departure = d
	return c
}

// TestDepartureOfAMember tells what a member that was admitted with incarnation 1 is after others passed on its claims, in the order given.
func TestDepartureOfAMember(t *testing.T) {
	type heard struct {
		incarnation uint64
		departure   Departure
	}
	for name, tt := range map[string]struct {
		heard     []heard
		want      State // 0: forgotten
		departure Departure
		probed    bool // as a candidate
	}{
		"it leaves":                     {[]heard{{2, Leaving}}, Alive, Leaving, false},
		"it stays after all":            {[]heard{{2, Leaving}, {3, Staying}}, Alive, Staying, false},
		"its word is old":               {[]heard{{2, Leaving}, {1, Staying}}, Alive, Leaving, false},
		"it has left":                   {[]heard{{2, Left}}, 0, Left, false},
		"it left and then has left":     {[]heard{{2, Leaving}, {3, Left}}, 0, Left, false},
		"an old farewell":               {[]heard{{3, Staying}, {2, Left}}, Alive, Staying, false},
		"a farewell of the same number": {[]heard{{1, Left}}, Alive, Staying, false},
		"older claims go round":         {[]heard{{3, Left}, {2, Leaving}, {1, Staying}, {3, Staying}}, 0, Left, false},
		"it is back":                    {[]heard{{3, Left}, {4, Staying}}, 0, Staying, true},
		"it is back to leave":           {[]heard{{3, Left}, {4, Leaving}}, 0, Leaving, true},
		"it has left twice":             {[]heard{{3, Left}, {5, Left}, {4, Staying}}, 0, Left, false},
		"it came back and left":         {[]heard{{3, Left}, {4, Staying}, {5, Left}}, 0, Left, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.admit("a", "b")
			r.m.Actions()
			probed := false
			for _, h := range tt.heard {
				r.m.Receive(r.now, "b", Message{Claims: []*Claim{departing("a", h.incarnation, h.departure)}})
				for _, p := range take[Probe](r) {
					probed = probed || p.Target == "a" && r.m.Len() == 1
				}
			}
			r.want("a", tt.want)
			if probed != tt.probed {
				t.Errorf("probed as a candidate: %v, want %v", probed, tt.probed)
			}
			if c := r.m.Claim("a"); c != nil && c.Departure != tt.departure || c == nil && !tt.probed {
				t.Errorf("the claim is %+v, want departure %d", c, tt.departure)
			}
		})
	}
}

func TestWhoHasLeftIsForgottenAtOnceAndNotSoughtAgain(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b")
	r.m.ConnectionLost(r.now, "a") // a probe is under way
	probe := take[Probe](r)[0]
	r.m.Receive(r.now, "a", Message{Incarnation: 2, Claims: []*Claim{departing("a", 2, Left)}})
	if got := take[Forgotten](r); len(got) != 1 || got[0].ID != "a" {
		t.Errorf("forgotten are %v", got)
	}
	r.m.Answered(r.now, probe.ID, time.Millisecond)
	r.m.Met(r.now, "a")
	r.m.Learn(r.now, "b", []*Claim{claim("a", 1)}, []peer.ID{"a"})
	r.silence(r.m.t.HearsayPause)
	for _, p := range take[Probe](r) {
		if p.Target == "a" {
			t.Error("who has left is probed")
		}
	}
	r.want("a", 0)
	for _, e := range r.m.Entries() {
		if e.ID == "a" {
			t.Error("who has left is told of to others that sync")
		}
	}
	if r.m.Wants("a", 2) || !r.m.Wants("a", 3) || !r.m.Departed("a", 1) || r.m.Departed("a", 2) {
		t.Error("the departure is not remembered by its incarnation")
	}
	if msg := r.m.Compose("a"); msg.Known != 2 || len(msg.Claims) == 0 || msg.Claims[0].Departure != Left {
		t.Errorf("who has left is told %+v, want its own farewell", msg)
	}
}

func TestCandidateThatHasLeftIsDropped(t *testing.T) {
	r := newRig(t)
	r.admit("b")
	r.m.Actions()
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", 1)}})
	probe := take[Probe](r)[0]
	r.m.Receive(r.now, "a", Message{Claims: []*Claim{departing("a", 2, Left)}})
	r.m.Answered(r.now, probe.ID, time.Millisecond)
	r.want("a", 0)
	if n := len(r.m.candidates.list); n != 0 {
		t.Errorf("%d candidates are left", n)
	}
}

func TestFarewellsArePassedOnByThoseWhoKnewThePeer(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b")
	r.m.Compose("b")
	told := func() (departures []peer.ID) {
		for _, c := range r.m.Compose("b").Claims {
			if c.Departure == Left {
				departures = append(departures, c.ID)
			}
		}
		return departures
	}
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{departing("made-up", 2, Left), departing("a", 2, Left)}})
	if got := told(); len(got) != 1 || got[0] != "a" {
		t.Errorf("passed on are the farewells of %v, want a's", got)
	}
	for range 100 {
		r.m.Compose("b")
	}
	// Who speaks of it as if it were still there is told again, but only so often.
	again := 0
	for range 10 * sourceBurst {
		r.m.Receive(r.now, "b", Message{Rumours: []Rumour{{Subject: "a", Incarnation: 1, Verdict: Suspect, Own: true}}})
		if len(told()) > 0 {
			again++
		}
		for len(told()) > 0 {
		}
	}
	if again == 0 || again > sourceBurst {
		t.Errorf("the farewell was passed on again %d times, want 1 to %d", again, sourceBurst)
	}
	r.m.Receive(r.now, "b", Message{Rumours: []Rumour{{Subject: "a", Incarnation: 2, Verdict: Dead, Own: true}}})
	if got := told(); len(got) > 0 {
		t.Errorf("who knows of the departure is told again of %v", got)
	}
}

func TestDeparturesAreBounded(t *testing.T) {
	r := newRig(t)
	r.admit("b")
	for i := range MaxDepartures + 10 {
		r.m.Receive(r.now, "b", Message{Claims: []*Claim{departing(peer.ID(fmt.Sprint(i)), 2, Left)}})
	}
	if n := len(r.m.departures.byID); n != MaxDepartures || len(r.m.departures.order) != n {
		t.Errorf("%d departures are remembered, want %d", n, MaxDepartures)
	}
	if r.m.Departed("9", 1) || !r.m.Departed("10", 1) {
		t.Error("it was not the oldest that were given up")
	}
	r.silence(r.m.t.Forget - time.Second)
	if n := len(r.m.departures.byID); n != MaxDepartures {
		t.Errorf("%d departures are remembered just before their time is over", n)
	}
	r.silence(2 * time.Second)
	if n := len(r.m.departures.byID) + len(r.m.departures.order); n != 0 {
		t.Errorf("%d departures are remembered for ever", n)
	}
}

// replay hands the claims to every node, as a peer would that was asleep for a while.
func (w *world) replay(nodes []*node, claims ...*Claim) {
	for _, n := range nodes {
		from := nodes[w.rand.IntN(len(nodes))]
		n.m.Receive(w.now, from.id, Message{Incarnation: from.m.Self().Incarnation, Claims: claims})
		n.act()
	}
}

func TestPeerLeavesAndComesBack(t *testing.T) {
	forSizes(t, []int{2, 3, 32}, func(t *testing.T, w *world) {
		x := w.nodes[1]
		rest := w.others(x)
		old := x.m.Self()
		// It tells one peer, and that one the others.
		tell := func(d Departure) {
			x.departure = d
			x.m.Announce(w.now, x.claim(0))
			x.act()
			x.ping(rest[0].id, time.Second, func() {}, func(bool) {})
		}
		tell(Leaving)
		w.run(3 * time.Second)
		w.want("leaving", rest, []*node{x}, Alive)
		leaving := x.m.Self()
		for _, n := range rest {
			if c := n.m.Claim(x.id); c != leaving {
				t.Errorf("%q knows %+v", n.id, c)
			}
		}
		w.run(20 * time.Second)
		w.want("still leaving", rest, []*node{x}, Alive)

		tell(Left)
		left := x.m.Self()
		w.run(50 * time.Millisecond)
		x.kill()
		w.run(3 * time.Second)
		w.want("left", rest, []*node{x}, 0)
		for range 60 {
			w.run(time.Second)
			w.replay(rest, old, leaving)
			w.want("left for good", rest, []*node{x}, 0)
		}
		for _, n := range rest {
			for _, v := range n.log {
				if v.about == x.id && v.to == Dead {
					t.Errorf("%q took the peer that left for dead", n.id)
				}
			}
		}

		x.departure = Staying
		x.start(nil)
		if x.m.Self().Incarnation <= left.Incarnation {
			t.Fatal("the new life has an older incarnation")
		}
		w.run(backWithin)
		w.want("back", w.nodes, w.nodes, Alive)
		w.replay(rest, left)
		w.run(5 * time.Second)
		w.want("back for good", w.nodes, w.nodes, Alive)
	})
}

// A peer whose clock was set back learns from others which incarnation it had when it left.
func TestPeerReturnsWithItsClockBehind(t *testing.T) {
	forSizes(t, []int{2, 5}, func(t *testing.T, w *world) {
		x := w.nodes[1]
		rest := w.others(x)
		ahead := x.claim(0)
		ahead.Incarnation += uint64(time.Hour.Milliseconds())
		ahead.Departure = Left
		for _, n := range rest {
			n.m.Receive(w.now, x.id, Message{Incarnation: ahead.Incarnation, Claims: []*Claim{ahead}})
			n.act()
		}
		x.kill()
		w.want("left", rest, []*node{x}, 0)
		w.run(time.Second)
		x.start(nil)
		w.run(2 * backWithin)
		w.want("back", w.nodes, w.nodes, Alive)
	})
}

// Who slept through a departure takes the peer for dead at first, and forgets it with the next exchange.
func TestDepartureReachesTheLate(t *testing.T) {
	forSizes(t, []int{3, 9}, func(t *testing.T, w *world) {
		x, late := w.nodes[1], w.nodes[2]
		rest := w.others(x, late)
		late.freeze()
		w.run(time.Second)
		x.departure = Left
		x.m.Announce(w.now, x.claim(0))
		for _, n := range rest {
			x.ping(n.id, time.Second, func() {}, func(bool) {})
		}
		w.run(100 * time.Millisecond)
		x.kill()
		w.run(time.Minute)
		w.want("left", rest, []*node{x}, 0)
		late.waiting = nil // what was sent to it in vain is not sent for ever
		late.thaw()
		late.act()
		w.run(20 * time.Second)
		w.want("left", w.others(x), []*node{x}, 0)
	})
}
