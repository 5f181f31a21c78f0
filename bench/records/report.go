package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// A report is the results of every system measured.
type report struct {
	options options
	names   []string
	results []map[point]measure.Result
}

func (r *report) add(name string, results map[point]measure.Result) {
	r.names, r.results = append(r.names, name), append(r.results, results)
}

// write writes the report in Markdown.
func (r *report) write(w io.Writer) error {
	o := r.options
	fmt.Fprintf(w, "%d peers in one process, TCP on loopback, every operation at a random peer, %v for each figure; %s. "+
		"Records are signed and have %d copies, quorum %d; kad-dht is stock with k=%d, unsigned values and a map in memory. "+
		"CPU is that of all peers together.\n\n",
		o.peers, o.duration, measure.Conditions(), min(o.copies, o.peers), min(o.copies, o.peers)/2+1, bucketSize)
	columns := []string{"", "value", "callers"}
	for _, name := range r.names {
		columns = append(columns, name, "CPU each", "p50", "p99")
	}
	compared := r.compared()
	if compared {
		columns = append(columns, "unsynced : kad-dht", "CPU")
	}
	table := measure.NewTable(columns...)
	for _, operation := range []string{put, get} {
		for _, size := range o.sizes {
			for _, callers := range o.callers {
				table.Add(r.row(point{operation, size, callers}, compared)...)
			}
		}
	}
	return table.Write(w)
}

func (r *report) row(p point, compared bool) []string {
	cells := []string{p.operation, fmt.Sprintf("%d B", p.size), fmt.Sprint(p.callers)}
	for _, results := range r.results {
		x := results[p]
		cells = append(cells, fmt.Sprintf("%.0f/s", x.Rate()), millis(x.CPUEach()), millis(x.P50), millis(x.P99))
	}
	if compared {
		ours, theirs := r.of(unsynced)[p], r.of(stock)[p]
		cells = append(cells, ratio(ours.Rate(), theirs.Rate()), ratio(float64(ours.CPUEach()), float64(theirs.CPUEach())))
	}
	return cells
}

// compared reports whether both sides of the comparison were measured.
func (r *report) compared() bool { return r.of(unsynced) != nil && r.of(stock) != nil }

func (r *report) of(name string) map[point]measure.Result {
	if i := slices.Index(r.names, name); i >= 0 {
		return r.results[i]
	}
	return nil
}

// ratio writes a / b, as a fraction of 1 where a is the smaller.
func ratio(a, b float64) string {
	switch {
	case a == 0 || b == 0:
		return "-"
	case a < b:
		return fmt.Sprintf("1/%.1f", b/a)
	}
	return fmt.Sprintf("%.1f", a/b)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
