//go:build sim

package routing

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/folkmoot/folkmoot/bench/plot"
)

var (
	comparePictures = flag.String("compare-pictures", "", "folder to draw the comparison of the ways of routing into")
	comparePeers    = flag.Int("compare-peers", 256, "most peers of the comparison of the ways of routing; docs/routing.md has 1,024")
)

// The comparison in full: go test -tags sim -run FullSizeWaysCompared -v -timeout 60m ./routing -compare-peers 1024 -compare-pictures ../docs/pictures
func TestFullSizeWaysCompared(t *testing.T) {
	const view, times = 64, 100
	tables := make(tables)
	lines := map[string]map[Method]*plot.LineSeries{}
	for _, peers := range []int{8, 32, 128, 256, 512, 1024} {
		if peers > *comparePeers {
			break
		}
		compare(t, uint64(peers), peers, view, times, func(situation string, r result) {
			tables.add(situation, r)
			checkResult(t, situation, r)
			if situation == "all well" {
				point(lines, "messages", r, r.messages)
				point(lines, "bytes", r, r.bytes/1024)
				point(lines, "latency", r, float64(r.median.Milliseconds()))
			}
			t.Logf("%s %s", situation, r.String())
		})
	}
	t.Log(tables)
	draw(t, lines["messages"], "routing-messages.svg", "Messages for one question", "messages")
	draw(t, lines["bytes"], "routing-bytes.svg", "Bytes for one question", "KiB")
	draw(t, lines["latency"], "routing-latency.svg", "Median time of an answer, 10 ms from peer to peer", "ms")
}

func point(lines map[string]map[Method]*plot.LineSeries, name string, r result, y float64) {
	if lines[name] == nil {
		lines[name] = make(map[Method]*plot.LineSeries)
	}
	s := lines[name][r.method]
	if s == nil {
		s = &plot.LineSeries{Name: string(r.method)}
		lines[name][r.method] = s
	}
	s.X, s.Y = append(s.X, float64(r.peers)), append(s.Y, y)
}

func draw(t *testing.T, series map[Method]*plot.LineSeries, file, title, unit string) {
	if *comparePictures == "" {
		return
	}
	chart := plot.Lines{Title: title, XName: "peers in the network", YName: unit, XLog: true, YLog: true}
	for _, m := range Methods() {
		if s := series[m]; s != nil {
			chart.Series, chart.XTicks = append(chart.Series, *s), s.X
		}
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
