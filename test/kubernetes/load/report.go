package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/sim/history"
)

// A Report is what a load lived through.
type Report struct {
	Seed    uint64  `json:"seed"`
	Callers int     `json:"callers"`
	PutRate float64 `json:"put_per_s"`
	GetRate float64 `json:"get_per_s"`
	Value   int     `json:"value_bytes"`
	// Keys counts the keys with an acknowledged write, Acknowledged the writes.
	Keys         int     `json:"keys"`
	Acknowledged int     `json:"acknowledged_writes"`
	Phases       []Phase `json:"phases"`
}

// A Phase tells of the operations that ended in one phase.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Put     Figures `json:"put"`
	Get     Figures `json:"get"`
	// Gap is the longest time without any success, of those whose middle lies in the phase.
	Gap float64 `json:"longest_gap_ms"`
	// Failures counts attempts that failed by their sort; most of them were made good by the next attempt.
	Failures map[string]int `json:"failed_attempts"`
	// Examples has the first failure of each sort.
	Examples map[string]string `json:"examples,omitempty"`
}

// Figures are those of one kind of operation. Times are in milliseconds, from the first attempt to the answer.
type Figures struct {
	Done   int     `json:"done"`
	Failed int     `json:"failed"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
	// Gap is the longest time without a success, of those whose middle lies in the phase.
	Gap float64 `json:"longest_gap_ms"`
}

// Report tells what the load lived through. It must have stopped.
func (l *Load) Report() Report {
	r := Report{
		Seed: l.cfg.Seed, Callers: l.cfg.Callers, PutRate: l.cfg.PutRate, GetRate: l.cfg.GetRate, Value: l.cfg.ValueSize,
		Keys: len(l.keys.known),
	}
	var all []sample
	var failures []failure
	for _, c := range l.callers {
		all, failures = append(all, c.samples...), append(failures, c.failures...)
	}
	slices.SortFunc(failures, func(a, b failure) int { return cmp.Compare(a.at, b.at) })
	for i, p := range l.phases {
		to := l.stopped + 1 // what ended in that moment is part of it
		if i+1 < len(l.phases) {
			to = l.phases[i+1].from
		}
		r.Phases = append(r.Phases, describe(p.name, p.from, to, all, failures))
		r.Acknowledged += r.Phases[i].Put.Done
	}
	return r
}

// describe describes the phase between two times.
func describe(name string, from, to time.Duration, all []sample, failures []failure) Phase {
	p := Phase{
		Name: name, Seconds: (to - from).Seconds(), Failures: map[string]int{}, Examples: map[string]string{},
		Put: figures(from, to, all, history.Put), Get: figures(from, to, all, history.Get),
		Gap: milliseconds(longestGap(from, to, all, history.Put, history.Get)),
	}
	for _, f := range failures {
		if f.at < from || f.at >= to {
			continue
		}
		if p.Failures[f.sort]++; p.Failures[f.sort] == 1 {
			p.Examples[f.sort] = f.text
		}
	}
	return p
}

func figures(from, to time.Duration, all []sample, kind history.Kind) Figures {
	f := Figures{Gap: milliseconds(longestGap(from, to, all, kind))}
	var took []time.Duration
	for _, s := range all {
		switch {
		case s.kind != kind || s.to < from || s.to >= to:
		case s.failure != "":
			f.Failed++
		default:
			took = append(took, s.to-s.from)
		}
	}
	slices.Sort(took)
	if f.Done = len(took); f.Done > 0 {
		f.P50, f.P99, f.Max = milliseconds(quantile(took, 50)), milliseconds(quantile(took, 99)), milliseconds(took[f.Done-1])
	}
	return f
}

// longestGap returns the longest time between two successes one after the other whose middle lies between the times given. The beginning and the end of the load count as successes.
func longestGap(from, to time.Duration, all []sample, kinds ...history.Kind) time.Duration {
	successes := []time.Duration{0}
	end := to
	for _, s := range all {
		end = max(end, s.to)
		if s.failure == "" && slices.Contains(kinds, s.kind) {
			successes = append(successes, s.to)
		}
	}
	successes = append(successes, end)
	slices.Sort(successes)
	var longest time.Duration
	for i, at := range successes[1:] {
		if middle := (successes[i] + at) / 2; middle >= from && middle < to {
			longest = max(longest, at-successes[i])
		}
	}
	return longest
}

// quantile returns the least of the sorted values that at least percent of them do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// Markdown returns the report as a table.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Seed %d; %d callers, %g PUT/s and %g GET/s of %d bytes; %d writes of %d keys acknowledged.\n\n",
		r.Seed, r.Callers, r.PutRate, r.GetRate, r.Value, r.Acknowledged, r.Keys)
	b.WriteString("| phase | s | PUT done, failed | p50, p99, max ms | GET done, failed | p50, p99, max ms | longest gap ms: PUT, GET, any | attempts that failed |\n|---|---|---|---|---|---|---|---|\n")
	for _, p := range r.Phases {
		fmt.Fprintf(&b, "| %s | %.0f | %d, %d | %s | %d, %d | %s | %.0f, %.0f, %.0f | %s |\n", p.Name, p.Seconds,
			p.Put.Done, p.Put.Failed, p.Put.latencies(), p.Get.Done, p.Get.Failed, p.Get.latencies(), p.Put.Gap, p.Get.Gap, p.Gap, p.failures())
	}
	return b.String()
}

func (f *Figures) latencies() string { return fmt.Sprintf("%.1f, %.0f, %.0f", f.P50, f.P99, f.Max) }

func (p *Phase) failures() string {
	var parts []string
	for _, sort := range slices.Sorted(maps.Keys(p.Failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", p.Failures[sort], sort))
	}
	return strings.Join(parts, ", ")
}
