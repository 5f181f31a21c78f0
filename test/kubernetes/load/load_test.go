package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/folkmoot/folkmoot/sim/history"
)

// In the bubbles of these tests time passes only while everybody waits.
const (
	testSeed = 7
	stretch  = 4 * time.Second
)

// begin puts the usual load on the network.
func begin(t *testing.T, n *network) *Load {
	t.Helper()
	l, err := Start(t.Context(), Config{Targets: n.urls(), DialContext: n.dial, Seed: testSeed}, "before")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

// broken returns the promises that Verify finds broken, each once.
func broken(t *testing.T, l *Load, n *network) (names []string) {
	t.Helper()
	err := l.Verify(t.Context(), n.urls())
	found, ok := errors.AsType[Violations](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	for _, v := range found {
		names = append(names, v.Promise)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestSteadyLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "a", "b", "c")
		l := begin(t, n)
		time.Sleep(stretch)
		l.Phase("after")
		time.Sleep(stretch)
		l.Stop()
		if got := broken(t, l, n); len(got) > 0 {
			t.Errorf("broken: %q", got)
		}
		r := l.Report()
		for _, p := range r.Phases {
			sum := p.Put.Done + p.Get.Done
			if want := int(stretch.Seconds()) * 2 * DefaultRate; sum < want-DefaultCallers || sum > want+DefaultCallers {
				t.Errorf("%s: %d operations, want %d", p.Name, sum, want)
			}
			if p.Put.Done < sum/3 || p.Get.Done < sum/3 {
				t.Errorf("%s: %d PUT and %d GET, want about as many of each", p.Name, p.Put.Done, p.Get.Done)
			}
			if p.Gap > 11 || p.Put.Failed+p.Get.Failed+len(p.Failures) > 0 {
				t.Errorf("%s: %+v", p.Name, p)
			}
		}
		if len(l.history.Ops) < r.Acknowledged+r.Keys || r.Keys < 100 || len(n.versions) != r.Keys {
			t.Errorf("%d operations in the history, %d acknowledged, %d keys of %d", len(l.history.Ops), r.Acknowledged, r.Keys, len(n.versions))
		}
		t.Log(r.Markdown())
	})
}

// TestDetects has networks lie, while the load goes on or in the end.
func TestDetects(t *testing.T) {
	var victim string // the key of which the network lies
	of := func(lie func(key string, all []stored) (stored, bool)) func(string, []stored) (stored, bool) {
		return func(key string, all []stored) (stored, bool) {
			if key == victim {
				return lie(key, all)
			}
			return newest(key, all)
		}
	}
	none := of(func(string, []stored) (stored, bool) { return stored{}, false })
	stale := of(func(_ string, all []stored) (stored, bool) { return all[0], true })
	half := of(func(_ string, all []stored) (stored, bool) {
		s := all[len(all)-1]
		s.value = s.value[:len(s.value)/2]
		return s, true
	})
	again := of(func(_ string, all []stored) (stored, bool) { return stored{"99999999", all[0].value}, true })
	another := of(func(_ string, all []stored) (stored, bool) {
		s := all[len(all)-1]
		s.value = all[0].value
		return s, true
	})
	for _, tt := range []struct {
		name         string
		key          string
		during, left func(string, []stored) (stored, bool)
		want         string
	}{
		{name: "lost", key: "new/3/0", left: none, want: history.NothingLost},
		{name: "lost, shared", key: "shared/1", left: none, want: history.NothingLost},
		{name: "an older one is left", key: "own/3/0", left: stale, want: history.NothingLost},
		{name: "half a value is left", key: "new/3/0", left: half, want: history.NothingInvented},
		{name: "a value under another's version", key: "own/3/0", left: another, want: history.OneVersion},
		{name: "an old write comes back", key: "own/3/0", left: again, want: NewestLeft},
		{name: "stale while it goes on", key: "own/3/0", during: stale, want: history.ReadsSeeWrites},
		{name: "stale in a session", key: "own/3/0", during: stale, want: history.SessionsForward},
		{name: "gone for a while", key: "shared/1", during: none, want: history.NoFalseNotFound},
		{name: "half a value for a while", key: "shared/1", during: half, want: history.NothingInvented},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, "a", "b", "c")
				l := begin(t, n)
				victim = l.keys.prefix + tt.key
				time.Sleep(stretch)
				n.lie(tt.during)
				time.Sleep(stretch)
				n.lie(nil)
				l.Stop()
				n.lie(tt.left)
				if got := broken(t, l, n); !slices.Contains(got, tt.want) {
					t.Errorf("broken: %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestOutages makes nodes fail one at a time, which costs callers attempts, and all at once, which costs operations: both are measured.
func TestOutages(t *testing.T) {
	const outage = 5 * time.Second
	for _, tt := range []struct {
		name   string
		state  nodeState
		all    bool
		gap    time.Duration // at least
		within time.Duration // what the gap may be longer
		sort   string        // of the attempts' failures
	}{
		{"one refuses", down, false, 0, 100 * time.Millisecond, failedRefused},
		{"one hangs", hung, false, 0, 100 * time.Millisecond, failedLate},
		{"one has no quorum", unavailable, false, 0, 100 * time.Millisecond, "unavailable"},
		{"all refuse", down, true, outage, 200 * time.Millisecond, failedRefused},
		{"all hang", hung, true, outage, 2500 * time.Millisecond, failedLate},
		{"all have no quorum", unavailable, true, outage, 200 * time.Millisecond, "unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, "a", "b", "c")
				l := begin(t, n)
				time.Sleep(stretch)
				l.Phase("during")
				set := func(s nodeState) {
					for host, node := range n.nodes {
						if tt.all || host == "b" {
							node.set(s)
						}
					}
				}
				set(tt.state)
				time.Sleep(outage)
				set(up)
				l.Phase("after")
				time.Sleep(stretch)
				l.Stop()
				if got := broken(t, l, n); len(got) > 0 {
					t.Errorf("broken: %q", got)
				}
				r := l.Report()
				during, gap := r.Phases[1], time.Duration(r.Phases[1].Gap*float64(time.Millisecond))
				if gap < tt.gap || gap > tt.gap+tt.within {
					t.Errorf("longest gap %v, want %v to %v", gap, tt.gap, tt.gap+tt.within)
				}
				if during.Failures[tt.sort] == 0 || during.Put.Failed+during.Get.Failed > 0 {
					t.Errorf("want failed attempts of sort %q, no failed operation: %+v", tt.sort, during)
				}
				if !strings.Contains(r.Markdown(), tt.sort) {
					t.Errorf("the report does not speak of %q:\n%s", tt.sort, r.Markdown())
				}
			})
		})
	}
}

// TestPatienceEnds leaves all nodes hung for longer than callers try: operations fail, and what they wrote may or may not be there.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "a", "b")
		l := begin(t, n)
		time.Sleep(stretch)
		for _, node := range n.nodes {
			node.set(hung)
		}
		l.Phase("during")
		time.Sleep(2 * DefaultPatience)
		ctx, cancel := context.WithTimeout(t.Context(), stretch)
		defer cancel()
		l.Stop()
		if err := l.Verify(ctx, n.urls()); err == nil || errors.As(err, new(Violations)) {
			t.Errorf("verify at nodes that hang: %v", err)
		}
		for _, node := range n.nodes {
			node.set(up)
		}
		if got := broken(t, l, n); len(got) > 0 {
			t.Errorf("broken: %q", got)
		}
		if during := l.Report().Phases[1]; during.Put.Failed == 0 || during.Get.Failed == 0 || during.Gap < 1000*DefaultPatience.Seconds() {
			t.Errorf("%+v", during)
		}
	})
}

func TestConfigRefused(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no targets":      {},
		"no URL":          {Targets: []string{"node"}},
		"negative rate":   {Targets: []string{"http://a"}, PutRate: -1},
		"immoderate rate": {Targets: []string{"http://a"}, GetRate: maxRate + 1},
		"negative number": {Targets: []string{"http://a"}, Callers: -1},
	} {
		if l, err := Start(t.Context(), cfg, ""); err == nil {
			l.Stop()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestVerifyWhileItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "a")
		if err := begin(t, n).Verify(t.Context(), n.urls()); err == nil {
			t.Error("judged a load that goes on")
		}
	})
}

func TestWriteOfValue(t *testing.T) {
	for _, w := range []write{{"load/0/new/1/2", 1, 0}, {"k=v", 12, 345}} {
		value := w.value(DefaultValueSize)
		got, ok := parseWrite(value)
		if w.key == "k=v" {
			if ok {
				t.Errorf("%q is read as %+v", value, got)
			}
			continue
		}
		if !ok || got != w || len(value) < DefaultValueSize {
			t.Errorf("%q is read as %+v", value, got)
		}
	}
	for _, text := range []string{"", ";", "k", "k=1", "k=1.", "k=a.1;"} {
		if got, ok := parseWrite(text); ok {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestViolationsTellTheFirst(t *testing.T) {
	v := make(Violations, 2*maxShown)
	for i := range v {
		v[i] = &history.Violation{Promise: fmt.Sprintf("promise %d;", i)}
	}
	text := v.Error()
	if !strings.Contains(text, "promise 9;") || strings.Contains(text, "promise 10;") || !strings.Contains(text, "10 more") {
		t.Error(text)
	}
}
