package recordbench

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
)

// sample is a report of two rounds in which everything was measured.
func sample() *Report {
	c := &Comparison{Peers: aimPeers, Systems: []string{mootSynced, stockKadDHT}, Baseline: stockKadDHT}
	for _, round := range []struct{ ours, theirs float64 }{{1000, 200}, {600, 100}, {900, 300}} {
		for _, operation := range []string{opPut, opGet, opSteady} {
			at := point{operation, aimSize, aimCallers}
			c.add(mootSynced, at, Figures{Operations: 10, Rate: round.ours, CPU: 1000, P50: 500, P99: 30_000})
			c.add(stockKadDHT, at, Figures{Operations: 10, Rate: round.theirs, CPU: 8000, P50: 5000, P99: 300_000})
		}
	}
	return &Report{
		Rounds: 3, Copies: 5, Comparisons: []*Comparison{c}, Notes: []string{"not measured beside etcd"},
		Scale:  []Scaled{{Peers: 8, Transport: "TCP", Memory: 1 << 20, CPU: 0.01, Put: Figures{CPU: 100}, Get: Figures{CPU: 10}}, {Peers: 32, Transport: "TCP", Memory: 2 << 20, CPU: 0.02, Put: Figures{CPU: 200}, Get: Figures{CPU: 20}}},
		Losses: []Loss{{Peers: 31, Records: 10, Held: 1000, Moved: 1100, Seconds: 5}},
		Full:   &FullCount{Observed: 5, P50: 0.001, P99: 0.01, P999: -1},
	}
}

func TestRatiosAreThoseWithinARound(t *testing.T) {
	c := sample().Comparisons[0]
	p := c.find(mootSynced, opPut, aimSize, aimCallers)
	if got := c.ratio(p, rate); got != 5 { // of 5, 6 and 3; the ratio of the medians is 4.5
		t.Errorf("ratio: got %v, want 5", got)
	}
	if got := p.median(rate); got != 900 {
		t.Errorf("median: got %v, want 900", got)
	}
	if least, most := p.extremes(rate); least != 600 || most != 1000 {
		t.Errorf("extremes: got %v and %v, want 600 and 1000", least, most)
	}
}

func TestReportSaysEverything(t *testing.T) {
	var out strings.Builder
	if err := sample().Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| PUT         | 256 B | 64      | moot    | 900/s (600) | 1.00 ms (1.00 ms) | 500 µs  | 30.00 ms (30.00 ms) | 5.0            | 1/8.0         |",
		"| PUT, rate                | ≥ 900/s    | 900/s    | met    |",
		"| GET at half, p99         | ≤ 20.00 ms | 30.00 ms | missed |",
		"| 31         | 10           | 1000       | 1100        | 1.10         | 5.0 s               |",
		"| 32    | TCP  | 2.0 MiB           | 2.00 % of a core |",
		"5 writes under all loads above: half below 1.00 ms, 99 % below 10.00 ms, 99.9 % above the metric's range.",
		"Note: not measured beside etcd.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not there: %s\nin:\n%s", want, out.String())
		}
	}
	if _, err := json.Marshal(sample()); err != nil {
		t.Error(err)
	}
}

func TestPlotsAreWritten(t *testing.T) {
	names, err := sample().WritePlots(filepath.Join(t.TempDir(), "pictures"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 6 {
		t.Errorf("got %d plots, want 6: %v", len(names), names)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err != nil || !strings.Contains(string(b), "</svg>") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestHistogramsAreAdded(t *testing.T) {
	var sum []bucket
	for _, values := range [][]float64{{0.5, 1.5, 1.5}, {0.1, 9}} {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: metricFull, Buckets: []float64{1, 2}})
		for _, v := range values {
			h.Observe(v)
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(h)
		f, found, err := family(registry, metricFull)
		if err != nil || !found {
			t.Fatalf("got %v, %v", found, err)
		}
		sum = addHistogram(sum, f)
	}
	for q, want := range map[float64]float64{0.4: 1, 0.8: 2, 0.81: math.Inf(1)} {
		if got := quantile(sum, q); got != want {
			t.Errorf("quantile %v: got %v, want %v (%v)", q, got, want, sum)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}

func TestConfigsAreChecked(t *testing.T) {
	for _, good := range []Config{Default(), Quick()} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for name, spoil := range map[string]func(*Config){
		"peers":    func(c *Config) { c.Peers = 0 },
		"callers":  func(c *Config) { c.Callers = nil },
		"sizes":    func(c *Config) { c.Sizes = []int{MaxValue + 1} },
		"rounds":   func(c *Config) { c.Rounds = MaxRounds + 1 },
		"duration": func(c *Config) { c.Duration = 0 },
		"scale":    func(c *Config) { c.Scale = []int{0} },
		"losses":   func(c *Config) { c.Losses = -1 },
		"only":     func(c *Config) { c.Only = "zookeeper" },
	} {
		c := Default()
		spoil(&c)
		if err := c.Validate(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
