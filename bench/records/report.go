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
	table := measure.NewTable("", "value", "callers", "", "rate", "CPU each", "p50", "p99", "rate : kad-dht", "CPU : kad-dht")
	for _, operation := range []string{put, get} {
		for _, size := range o.sizes {
			for _, callers := range o.callers {
				r.addRows(table, point{operation, size, callers})
			}
		}
	}
	return table.Write(w)
}

// addRows adds a row for each system.
func (r *report) addRows(table *measure.Table, p point) {
	theirs := r.of(stock)[p] // zero when it was not measured
	for i, name := range r.names {
		x := r.results[i][p]
		table.Add(p.operation, fmt.Sprintf("%d B", p.size), fmt.Sprint(p.callers), name,
			fmt.Sprintf("%.0f/s", x.Rate()), millis(x.CPUEach()), millis(x.P50), millis(x.P99),
			ratio(x.Rate(), theirs.Rate()), ratio(float64(x.CPUEach()), float64(theirs.CPUEach())))
	}
}

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
