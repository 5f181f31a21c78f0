package recordbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// Comparison is the same load on several systems with the same number of peers.
type Comparison struct {
	Peers   int      `json:"peers"`
	Systems []string `json:"systems"`
	// Baseline is the system that the others are compared with; empty when it was not measured.
	Baseline string  `json:"baseline,omitempty"`
	Points   []Point `json:"points"`
}

// Point is what one system did under one load.
type Point struct {
	System    string    `json:"system"`
	Operation string    `json:"operation"`
	Size      int       `json:"value_bytes"`
	Callers   int       `json:"callers"`
	Rounds    []Figures `json:"rounds"`
}

// Figures are those of one round.
type Figures struct {
	Operations int     `json:"operations"`
	Failures   int     `json:"failures"`
	Rate       float64 `json:"per_second"`
	CPU        float64 `json:"cpu_us"` // for each operation, all peers together
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
}

func figures(r measure.Result) Figures {
	return Figures{Operations: r.Operations, Failures: r.Failures, Rate: r.Rate(), CPU: micros(r.CPUEach()), P50: micros(r.P50), P99: micros(r.P99)}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// median returns the median over the rounds of what of takes from each.
func (p *Point) median(of func(Figures) float64) float64 {
	var all []float64
	for _, r := range p.Rounds {
		all = append(all, of(r))
	}
	return measure.Quantile(all, 0.5)
}

// extremes returns the least and the greatest.
func (p *Point) extremes(of func(Figures) float64) (least, greatest float64) {
	for i, r := range p.Rounds {
		if v := of(r); i == 0 {
			least, greatest = v, v
		} else {
			least, greatest = min(least, v), max(greatest, v)
		}
	}
	return least, greatest
}

// What a Point tells.
func rate(f Figures) float64    { return f.Rate }
func cpuEach(f Figures) float64 { return f.CPU }
func p50(f Figures) float64     { return f.P50 }
func p99(f Figures) float64     { return f.P99 }

// ratio returns the median over the rounds of a value divided by that of the baseline in the same round; 0 without one.
func (c *Comparison) ratio(p *Point, of func(Figures) float64) float64 {
	base := c.find(c.Baseline, p.Operation, p.Size, p.Callers)
	if base == nil {
		return 0
	}
	var all []float64
	for i := range min(len(p.Rounds), len(base.Rounds)) {
		if theirs := of(base.Rounds[i]); theirs > 0 {
			all = append(all, of(p.Rounds[i])/theirs)
		}
	}
	return measure.Quantile(all, 0.5)
}

// find returns a point, or nil.
func (c *Comparison) find(system, operation string, size, callers int) *Point {
	for i := range c.Points {
		p := &c.Points[i]
		if p.System == system && p.Operation == operation && p.Size == size && p.Callers == callers {
			return p
		}
	}
	return nil
}

// compare measures the systems in turns, each opened anew in every round, so that no system bears what another does when idle.
func (c *Config) compare(ctx context.Context, peers int, systems []system, baseline string, report *Report) error {
	out := &Comparison{Peers: peers}
	for _, s := range systems {
		out.Systems = append(out.Systems, s.name)
		if s.name == baseline {
			out.Baseline = baseline
		}
	}
	report.Comparisons = append(report.Comparisons, out)
	for round := range c.Rounds {
		for _, s := range systems {
			c.progress(fmt.Sprintf("%s, %d peers, round %d of %d", s.name, peers, round+1, c.Rounds))
			if err := c.compareOne(ctx, peers, s, out, report); err != nil {
				return fmt.Errorf("measure %s: %w", s.name, err)
			}
		}
	}
	return nil
}

// compareOne measures one system in one round.
func (c *Config) compareOne(ctx context.Context, peers int, s system, out *Comparison, report *Report) (err error) {
	opened, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	b := bench{cluster: opened, entries: peers, cfg: c}
	if err := b.run(ctx, c.Callers, c.Sizes); err != nil {
		return err
	}
	if m, ok := opened.(*moot); ok && s.name == mootSynced && peers == c.Peers {
		if err := report.addFullCount(m); err != nil {
			return err
		}
	}
	for _, at := range c.points() {
		r, ok := b.measured[at]
		if !ok {
			continue
		}
		report.noteFailures(fmt.Sprintf("%s, %d peers", s.name, peers), at, r)
		out.add(s.name, at, figures(r))
	}
	return nil
}

// add adds the figures of a round.
func (c *Comparison) add(system string, at point, f Figures) {
	p := c.find(system, at.operation, at.size, at.callers)
	if p == nil {
		c.Points = append(c.Points, Point{System: system, Operation: at.operation, Size: at.size, Callers: at.callers})
		p = &c.Points[len(c.Points)-1]
	}
	p.Rounds = append(p.Rounds, f)
}

// points returns all points in the order in which they are shown.
func (c *Config) points() []point {
	var points []point
	for _, operation := range []string{opPut, opGet, opSteady} {
		for _, size := range c.Sizes {
			for _, callers := range slices.Sorted(slices.Values(c.Callers)) {
				points = append(points, point{operation, size, callers})
			}
		}
	}
	return points
}
