package swim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestRumoursOnlyCauseProbes(t *testing.T) {
	for _, verdict := range []State{Suspect, Dead} {
		r := newRig(t)
		r.admit("a", "b", "c")
		take[Probe](r)
		r.m.Receive(r.now, "b", Message{Rumours: []Rumour{{Subject: "a", Incarnation: 1, Verdict: verdict, Own: true}}})
		r.m.Receive(r.now, "c", Message{Rumours: []Rumour{{Subject: "a", Incarnation: 1, Verdict: verdict, Own: true}}})
		r.want("a", Alive)
		probes := take[Probe](r)
		if i := slices.IndexFunc(probes, func(p Probe) bool { return p.Target == "a" }); i < 0 {
			t.Error("the accused is not probed")
		} else {
			r.m.Answered(r.now, probes[i].ID, time.Millisecond)
		}
		r.want("a", Alive)
	}
}

func TestVoidRumours(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b")
	r.m.Receive(r.now, "a", Message{Claims: []*Claim{claim("a", 5)}})
	take[Probe](r)
	for name, tt := range map[string]struct {
		from   peer.ID
		rumour Rumour
	}{
		"of an older incarnation": {"b", Rumour{Subject: "a", Incarnation: 4, Verdict: Dead, Own: true}},
		"by a stranger":           {"x", Rumour{Subject: "a", Incarnation: 5, Verdict: Dead, Own: true}},
		"about a stranger":        {"b", Rumour{Subject: "x", Incarnation: 5, Verdict: Dead, Own: true}},
		"about itself":            {"a", Rumour{Subject: "a", Incarnation: 5, Verdict: Dead, Own: true}},
		"that it is alive":        {"b", Rumour{Subject: "a", Incarnation: 5, Verdict: Alive, Own: true}},
	} {
		r.m.Receive(r.now, tt.from, Message{Rumours: []Rumour{tt.rumour}})
		if p := take[Probe](r); len(p) > 0 {
			t.Errorf("a rumour %s caused probes: %v", name, p)
		}
	}
}

func TestRefutation(t *testing.T) {
	r := newRig(t)
	r.admit("a")
	accuse := func(incarnation uint64) []Refute {
		r.m.Receive(r.now, "a", Message{Rumours: []Rumour{{Subject: "self", Incarnation: incarnation, Verdict: Suspect}}})
		return take[Refute](r)
	}
	if got := accuse(99); len(got) != 0 {
		t.Errorf("an old accusation is refuted: %v", got)
	}
	if got := accuse(1 << 60); len(got) != 0 {
		t.Errorf("an accusation of a made-up incarnation is refuted: %v", got)
	}
	if got := accuse(100); !slices.Equal(got, []Refute{{Above: 100}}) {
		t.Errorf("refutations are %v", got)
	}
	if got := accuse(100); len(got) != 0 {
		t.Errorf("refuted twice at once: %v", got)
	}
	r.m.Announce(r.now, claim("self", 101))
	if msg := r.m.Compose("a"); msg.Incarnation != 101 || !slices.Contains(msg.Claims, r.m.Self()) {
		t.Errorf("the refutation is not passed on: %+v", msg)
	}
	// A claim of an earlier run, sealed when the clock was ahead, is outbid.
	r.now = r.now.Add(r.m.t.RefutePause)
	r.m.Receive(r.now, "a", Message{Claims: []*Claim{claim("self", 500)}})
	if got := take[Refute](r); !slices.Equal(got, []Refute{{Above: 500}}) {
		t.Errorf("refutations are %v", got)
	}
}

func TestSuspectIsClearedByItsOwnWordOnly(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b")
	suspect := func() {
		r.m.ConnectionLost(r.now, "a")
		for _, p := range take[Probe](r) {
			if p.Target == "a" {
				r.m.Failed(r.now, p.ID, true)
			}
		}
		r.want("a", Suspect)
	}
	suspect()
	r.m.Receive(r.now, "b", Message{Rumours: []Rumour{{Subject: "a", Incarnation: 1, Verdict: Alive, Own: true}}})
	r.want("a", Suspect)
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", 1)}})
	r.want("a", Suspect)
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", 2)}})
	r.want("a", Alive)

	suspect()
	r.silence(r.m.t.SuspicionMax + 2*time.Second)
	r.want("a", Dead)
	// The dead must answer; a claim may have been signed before.
	take[Probe](r)
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("a", 3)}})
	r.want("a", Dead)
	probes := take[Probe](r)
	if len(probes) != 1 || probes[0].Target != "a" {
		t.Fatalf("probes are %v, want one of a", probes)
	}
	r.m.Answered(r.now, probes[0].ID, time.Millisecond)
	r.want("a", Alive)
}

func TestGossipIsBoundedAndEnds(t *testing.T) {
	r := newRig(t)
	var ids []peer.ID
	for i := range 30 {
		ids = append(ids, peer.ID(fmt.Sprintf("p%02d", i)))
	}
	r.admit(ids...)
	sent, messages := 0, 0
	for range 1000 {
		msg := r.m.Compose("p00")
		if len(msg.Claims) > MaxClaims || len(msg.Rumours) > MaxRumours {
			t.Fatalf("%d claims and %d rumours in one message", len(msg.Claims), len(msg.Rumours))
		}
		r.m.Receive(r.now, "p00", Message{Known: 100})
		if sent += len(msg.Claims); len(msg.Claims) > 0 {
			messages++
		}
	}
	// 29 claims, each told 15 times, not counting that about the receiver, and the node's own.
	if sent < 29*15 || sent > 31*15+1 {
		t.Errorf("%d claims were sent in %d messages", sent, messages)
	}
}

func TestEntriesAreSorted(t *testing.T) {
	r := newRig(t, &Claim{ID: "remembered"})
	r.admit("zed", "abe", "tom")
	want := []Entry{{"abe", 1}, {"self", 100}, {"tom", 1}, {"zed", 1}}
	if got := r.m.Entries(); !slices.Equal(got, want) {
		t.Errorf("entries are %v, want %v", got, want)
	}
}
