package routing

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// situation is what a tenth of the peers does.
type situation struct {
	name string
	set  func(f *field)
}

func situations() []situation {
	return []situation{
		{"all well", func(*field) {}},
		{"a tenth lies", func(f *field) { f.lying.Store(true) }},
		{"a tenth is lost", func(f *field) {
			f.lying.Store(false)
			f.kill()
		}},
	}
}

// compare asks in every way in every situation, and calls each with what came out.
func compare(t *testing.T, seed uint64, peers, view, times int, each func(situation string, r result)) {
	// Broadcasts have a field of their own: gossip, once awake, would count for the others.
	for _, methods := range [][]Method{{MethodIterative, MethodRecursive}, {MethodBroadcast}} {
		inSeededField(t, seed, peers, view, func(t *testing.T, f *field) {
			for _, s := range situations() {
				s.set(f)
				for _, method := range methods {
					each(s.name, f.ask(method, times))
				}
			}
		})
	}
}

func (r *result) String() string {
	return fmt.Sprintf("| %d | %s | %.1f | %.0f | %.1f | %.1f | %v | %v | %d of %d | %.2f |", r.peers, r.method, r.hops, r.messages, r.bytes/1024, r.dials,
		r.median.Round(time.Millisecond), r.worst.Round(time.Millisecond), r.complete, r.asked, r.bogus)
}

const tableHead = "| peers | way | hops | messages | KiB | dials | median | worst | complete | bogus |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|"

// checkResult holds what came out to what each way promises.
func checkResult(t *testing.T, situation string, r result) {
	t.Helper()
	most := map[Method]int{
		MethodIterative: 2 * maxAsked, MethodRecursive: 2 * ((recursivePaths+recursiveSpare)*maxBudget + maxAsked),
		MethodBroadcast: r.peers*13 + 8*r.peers + 2*maxRadius, // the mesh, what heartbeats say of it meanwhile, and the answers
	}[r.method]
	if r.mostMessages > most {
		t.Errorf("%s, %s: one question took %d messages, the bound is %d", situation, r.method, r.mostMessages, most)
	}
	least := map[string]float64{"all well": 0.97, "a tenth lies": 0.9, "a tenth is lost": 0.9}[situation]
	if situation == "a tenth is lost" && r.method == MethodRecursive {
		least = 0.4 // what the asker's own view says is believed
	}
	if float64(r.complete) < least*float64(r.asked) || r.failed > r.asked/10 {
		t.Errorf("%s, %s: %d of %d answers are complete, %d failed", situation, r.method, r.complete, r.asked, r.failed)
	}
	if r.method != MethodRecursive && r.bogus > 0 {
		t.Errorf("%s, %s: %.2f peers in an answer don't live", situation, r.method, r.bogus)
	}
}

// TestWaysCompared is the comparison of docs/routing.md in small.
func TestWaysCompared(t *testing.T) {
	tables := make(tables)
	compare(t, 1, 64, 40, 15, func(situation string, r result) {
		tables.add(situation, r)
		checkResult(t, situation, r)
	})
	t.Log(tables)
}

// tables are the lines of a table for each situation.
type tables map[string][]string

func (t tables) add(situation string, r result) { t[situation] = append(t[situation], r.String()) }

func (t tables) String() string {
	var b strings.Builder
	for _, s := range situations() {
		fmt.Fprintf(&b, "\n\n%s\n\n%s\n%s", s.name, tableHead, strings.Join(t[s.name], "\n"))
	}
	return b.String()
}
