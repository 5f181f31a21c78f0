package discovery

import (
	"slices"
	"testing"
)

func TestLRUDisplacesTheOldest(t *testing.T) {
	l := newLRU[int, string](3)
	for i, s := range []string{"a", "b", "c"} {
		l.set(i, s)
	}
	l.set(0, "A")
	l.set(3, "d")
	l.remove(2)
	l.remove(99)
	for key, want := range []string{"A", "", "", "d"} {
		if got, ok := l.get(key); got != want || ok != (want != "") {
			t.Errorf("%d holds %q, %v; want %q", key, got, ok, want)
		}
	}
	if l.len() != 2 || l.order.Len() != 2 {
		t.Errorf("%d keys, %d in order; want 2", l.len(), l.order.Len())
	}
}

func TestLearnedIsBelievedForAWhile(t *testing.T) {
	l := newLearned()
	l.set(addrN(1), peerN(1), planStart)
	if got := l.get(addrN(1), planStart.Add(LearnedFor-1)); got != peerN(1) {
		t.Errorf("learned %v, want peer 1", got)
	}
	if got := l.get(addrN(1), planStart.Add(LearnedFor)); got != "" {
		t.Errorf("%v is still believed", got)
	}
	for i := range 2 * MaxLearned {
		l.set(addrN(i), peerN(1), planStart)
	}
	if n := l.peers.len(); n != MaxLearned {
		t.Errorf("%d addresses are remembered, want %d", n, MaxLearned)
	}
	l.forget(addrN(2*MaxLearned - 1))
	if got := l.get(addrN(2*MaxLearned-1), planStart); got != "" {
		t.Errorf("%v is there though forgotten", got)
	}
}

func TestSourcesAreSortedAndBounded(t *testing.T) {
	names := make([]string, MaxFinders)
	for i := range names {
		names[i] = string(rune('a'+i%26)) + string(rune('z'-i/26))
	}
	s := newSources(names)
	s.add(peerN(1), MaxFinders-1)
	s.add(peerN(1), 0)
	s.add(peerN(1), 0)
	want := []string{names[0], names[MaxFinders-1]}
	slices.Sort(want)
	if got := s.of(peerN(1)); !slices.Equal(got, want) {
		t.Errorf("found by %v, want %v", got, want)
	}
	if got := s.of(peerN(2)); got != nil {
		t.Errorf("found by %v, want nobody", got)
	}
	for i := range 2 * MaxSources {
		s.add(peerN(i), 1)
	}
	if n := s.found.len(); n != MaxSources {
		t.Errorf("%d peers are remembered, want %d", n, MaxSources)
	}
}
