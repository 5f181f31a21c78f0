//go:build sim

package routing

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/bench/plot"
)

var (
	comparePeers    = flag.String("compare-peers", "8,32,128", "sizes of the networks in which the ways of routing are compared; docs/routing.md has up to 1,024; none: only draw")
	compareTimes    = flag.Int("compare-times", 15, "questions of each way in each situation")
	compareResults  = flag.String("compare-results", "", "file that results are added to and that tables and pictures are made of; empty: those of this run alone")
	comparePictures = flag.String("compare-pictures", "", "folder to draw the comparison of the ways of routing into")
)

// compared is one line of the results.
type compared struct {
	Situation                                 string
	Method                                    Method
	Peers                                     int
	Hops, Messages, KiB, Dials, Median, Bogus float64
	Line                                      string
}

// The comparison in full: go test -tags sim -run FullSizeWaysCompared -v -timeout 60m ./routing -compare-peers 8,32,128,256,512,1024 -compare-pictures ../docs/pictures
func TestFullSizeWaysCompared(t *testing.T) {
	const view = 64
	var results []compared
	for _, text := range strings.FieldsFunc(*comparePeers, func(r rune) bool { return r == ',' }) {
		peers, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, uint64(peers), peers, view, *compareTimes, func(situation string, r result) {
			checkResult(t, situation, r)
			t.Logf("%s %s", situation, r.String())
			results = append(results, compared{situation, r.method, r.peers, r.hops, r.messages, r.bytes / 1024, r.dials, float64(r.median.Milliseconds()), r.bogus, r.String()})
		})
	}
	results, err := measure.Keep(*compareResults, results)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(results, func(a, b compared) int { return a.Peers - b.Peers })
	tables := make(tables)
	for _, r := range results {
		tables[r.Situation] = append(tables[r.Situation], r.Line)
	}
	t.Log(tables)
	if *comparePictures == "" {
		return
	}
	draw(t, results, "routing-messages.svg", "Messages for one question", "messages", func(r compared) float64 { return r.Messages })
	draw(t, results, "routing-bytes.svg", "Bytes for one question", "KiB", func(r compared) float64 { return r.KiB })
	draw(t, results, "routing-latency.svg", "Median time of an answer, 10 ms from peer to peer", "ms", func(r compared) float64 { return r.Median })
}

func draw(t *testing.T, results []compared, file, title, unit string, y func(compared) float64) {
	chart := plot.Lines{Title: title, XName: "peers in the network", YName: unit, XLog: true, YLog: true}
	for _, m := range Methods() {
		line := plot.LineSeries{Name: string(m)}
		for _, r := range results {
			if r.Method == m && r.Situation == situations()[0].name {
				line.X, line.Y = append(line.X, float64(r.Peers)), append(line.Y, y(r))
			}
		}
		chart.Series, chart.XTicks = append(chart.Series, line), line.X
	}
	f, err := os.Create(filepath.Join(*comparePictures, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := chart.WriteSVG(f); err != nil {
		t.Error(err)
	}
}
