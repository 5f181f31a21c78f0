package swim

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// comes has a peer connect, and answer.
func (r *rig) comes(id peer.ID) {
	r.m.Met(r.now, id)
	r.offer(id)
}

// A node of an open network whose view is flooded with identities, each of which answers, keeps those that it has known longest, in bounded memory, and takes no longer for it in the end than in the beginning.
func TestSybilsDoNotDisplaceElders(t *testing.T) {
	const limit, honest, sybils = 1024, 100, 4000
	r := newRig(t)
	r.m.cut.limit = limit
	var known []peer.ID
	for i := range honest {
		known = append(known, peer.ID(fmt.Sprintf("honest-%03d", i)))
		r.comes(known[i])
	}
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, began := heap(), time.Now()
	var each []time.Duration
	for i := range sybils {
		r.now = r.now.Add(time.Millisecond)
		start := time.Now()
		r.comes(peer.ID(fmt.Sprintf("sybil-%04d", i)))
		each = append(each, time.Since(start))
		if n := r.m.counts[Alive] + r.m.counts[Suspect]; n > limit {
			t.Fatalf("%d members after %d identities", n, i+1)
		}
	}
	took := time.Since(began)
	lost, chance := 0, 0
	for _, id := range known {
		if _, ok := r.m.Member(id); !ok {
			lost++
		}
		if p := r.m.placeOf(id); r.m.keeps(&p) {
			chance++
		}
	}
	grown := int64(heap()) - int64(before)
	slices.Sort(each)
	t.Logf("%d identities joined in %s, p50 %s, p99 %s each; the heap has grown by %d KiB; %d of %d that were there before are in view, of which %d would be without being elders", sybils, took, each[len(each)/2], each[len(each)*99/100], grown>>10, honest-lost, honest, chance)
	if chance > honest/2 { // or this is no flood
		t.Errorf("%d of %d would be in view anyway", chance, honest)
	}
	if lost > 0 {
		t.Errorf("%d of those known longest were displaced", lost)
	}
	if grown > 8<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	// One that restarts meanwhile has its place when it is back.
	r.m.Receive(r.now, known[0], Message{Incarnation: 1, Claims: []*Claim{{ID: known[0], Incarnation: 2, Away: time.Minute, Sealed: []byte("away")}}})
	for i := range 50 {
		r.comes(peer.ID(fmt.Sprintf("late-%04d", i)))
	}
	if m, ok := r.m.Member(known[0]); !ok || m.State != Away {
		t.Errorf("the one that is away is known: %t, %v", ok, m.State)
	}
}

// Peers that two others make up, and that never answer, fill no place that one needs which comes by itself.
func TestMadeUpCandidatesKeepNobodyOut(t *testing.T) {
	r := newRig(t)
	r.admit("liar-1", "liar-2", "friend")
	for i := range 2 * MaxPerSource {
		for _, liar := range []peer.ID{"liar-1", "liar-2"} {
			r.m.Receive(r.now, liar, Message{Claims: []*Claim{claim(peer.ID(fmt.Sprintf("%s-%d", liar, i)), 1)}})
		}
	}
	if n := len(r.m.candidates.list); n != MaxCandidates {
		t.Fatalf("%d candidates, want a full list of %d", n, MaxCandidates)
	}
	r.m.Actions()
	for i := range 20 {
		id := peer.ID(fmt.Sprintf("newcomer-%d", i))
		r.m.Met(r.now, id)
		if c := r.m.candidates.find(id); c == nil || !c.connected {
			t.Fatalf("%s is no candidate", id)
		}
	}
	if n := len(r.m.candidates.list); n != MaxCandidates {
		t.Errorf("%d candidates, want %d", n, MaxCandidates)
	}
	checkCandidates(t, &r.m.candidates)
	// They become members though everybody that was made up is silent.
	for range 200 {
		for _, p := range take[Probe](r) {
			if slices.Contains([]peer.ID{"liar-1", "liar-2", "friend"}, p.Target) || len(p.Target) > 9 && p.Target[:9] == "newcomer-" {
				r.m.Receive(r.now, p.Target, Message{Incarnation: 1, Claims: []*Claim{claim(p.Target, 1)}})
				r.m.Answered(r.now, p.ID, time.Millisecond)
			}
		}
		r.now = r.now.Add(100 * time.Millisecond)
		r.m.Tick(r.now)
	}
	for i := range 20 {
		r.want(peer.ID(fmt.Sprintf("newcomer-%d", i)), Alive)
	}
	checkCandidates(t, &r.m.candidates)
}

// checkCandidates checks that the list, what finds them, and the counts are of the same candidates: one that only is found would be probed never, and kept for ever.
func checkCandidates(t *testing.T, cs *candidates) {
	t.Helper()
	told := make(map[peer.ID]int)
	for _, c := range cs.list {
		told[c.source]++
		if cs.find(c.id) != c {
			t.Errorf("%s is in the list and is not found", c.id)
		}
	}
	if len(cs.byID) != len(cs.list) {
		t.Errorf("%d candidates are found, and %d are in the list", len(cs.byID), len(cs.list))
	}
	if !maps.Equal(told, cs.told) {
		t.Errorf("they were told of by %v, counted are %v", told, cs.told)
	}
}
