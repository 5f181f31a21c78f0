//go:build sim

package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/bench/plot"
	"github.com/folkmoot/folkmoot/records"
)

var (
	scalePeers    = flag.String("scale-peers", "8,32,128,256,512", "sizes of the networks whose costs are measured; none: only draw")
	scaleResults  = flag.String("scale-results", "", "file that results are added to and that table and pictures are made of; empty: those of this run alone")
	scalePictures = flag.String("scale-pictures", "", "folder to draw the costs into")
)

const (
	scaleRecords = 2000
	scaleIdle    = 30 * time.Second
)

// cost is what all peers of a crowd spend together.
type cost struct {
	CPU             time.Duration
	Messages, Bytes float64
}

func (c cost) less(o cost) cost {
	return cost{c.CPU - o.CPU, c.Messages - o.Messages, c.Bytes - o.Bytes}
}
func (c cost) times(x float64) cost {
	return cost{time.Duration(float64(c.CPU) * x), c.Messages * x, c.Bytes * x}
}

// operation is what one operation costs all peers, and how many round trips it takes.
type operation struct {
	cost
	P50, P99 float64
}

// scaled is what was measured in a network of a size.
type scaled struct {
	Peers       int
	Memory      float64       // bytes of each
	Connections float64       // of each
	Formed      cost          // of each
	Took        time.Duration // from the last one's beginning until all are in sync
	Idle        cost          // of each, a second
	Put, Get    operation
}

// TestCrowdScale measures how costs grow with the network: processor time, which does not care that time is simulated, messages, bytes, and round trips. Its table and pictures are for docs/measurements.md; it fails
// when peers do not find one another, or an operation fails.
func TestCrowdScale(t *testing.T) {
	var results []scaled
	for _, text := range strings.FieldsFunc(*scalePeers, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) {
			inCrowd(t, 0, func(t *testing.T, c *crowd) { results = append(results, c.scale(n)) })
		})
	}
	results, err := measure.Keep(*scaleResults, results)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(results, func(a, b scaled) int { return a.Peers - b.Peers })
	t.Log("\n" + scaleTable(results))
	if *scalePictures != "" {
		drawScale(t, results)
	}
}

// scale lets a crowd of n peers form, and measures what that costs, what being idle costs, and what operations cost.
func (c *crowd) scale(n int) scaled {
	empty, began := heap(), c.spent()
	for range n {
		c.add()
		time.Sleep(joinEvery)
	}
	start := time.Now()
	c.awaitMesh()
	c.awaitSynced()
	r := scaled{Peers: n, Took: time.Since(start), Formed: c.spent().less(began).times(1 / float64(n))}
	c.t.Logf("%d peers are in sync %v after the last began, with %v of CPU each", n, r.Took, r.Formed.CPU)

	before := c.spent()
	time.Sleep(scaleIdle)
	idle := c.spent().less(before).times(1 / scaleIdle.Seconds())
	r.Idle = idle.times(1 / float64(n))
	r.Memory = float64(heap()-empty) / float64(n)
	for _, p := range c.alive() {
		r.Connections += float64(len(p.host.Network().Conns())) / float64(n)
	}
	r.Put = c.measured(idle, func(p *crowdPeer, key string) error {
		_, err := p.Put(c.t.Context(), key, make([]byte, 256), records.PutOptions{})
		return err
	})
	r.Get = c.measured(idle, func(p *crowdPeer, key string) error {
		_, err := p.Get(c.t.Context(), key, records.GetOptions{})
		return err
	})
	return r
}

// measured has callers do something with each record through random peers, and returns what each operation cost beyond what all peers spend in a second when idle.
func (c *crowd) measured(idle cost, do func(p *crowdPeer, key string) error) operation {
	start, before := time.Now(), c.spent()
	trips := c.load(scaleRecords, func(p *crowdPeer, key string) {
		if err := do(p, key); err != nil {
			c.t.Error(err)
		}
	})
	used := c.spent().less(before).less(idle.times(time.Since(start).Seconds())).times(1. / scaleRecords)
	return operation{used, quantile(trips, 0.5), quantile(trips, 0.99)}
}

// spent returns what was spent so far.
func (c *crowd) spent() cost {
	cpu, err := measure.CPU()
	if err != nil {
		c.t.Fatal(err)
	}
	return cost{cpu, float64(c.wires.Written()), float64(c.wires.Carried())}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func scaleTable(results []scaled) string {
	var b strings.Builder
	b.WriteString("| peers | memory | connections | until in sync: CPU | messages | KiB | idle, a second: CPU | messages | bytes | PUT: CPU | messages | KiB | p50 | p99 | GET: CPU | messages | KiB | p50 | p99 |\n")
	b.WriteString("|" + strings.Repeat("--:|", 19) + "\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %d | %.1f MiB | %.0f | %.0f ms | %.0f | %.0f | %.2f ms | %.1f | %.0f |", r.Peers, r.Memory/(1<<20), r.Connections, ms(r.Formed.CPU), r.Formed.Messages, r.Formed.Bytes/1024,
			ms(r.Idle.CPU), r.Idle.Messages, r.Idle.Bytes)
		for _, o := range []operation{r.Put, r.Get} {
			fmt.Fprintf(&b, " %.2f ms | %.1f | %.1f | %.1f | %.1f |", ms(o.CPU), o.Messages, o.Bytes/1024, o.P50, o.P99)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// drawScale draws the costs over the number of peers.
func drawScale(t *testing.T, results []scaled) {
	type line struct {
		name string
		of   func(r scaled) float64
	}
	for _, chart := range []struct {
		file, title, unit string
		lines             []line
	}{
		{"crowd-forming.svg", "CPU of each peer until all are in sync", "milliseconds", []line{{"all beginning 20 ms apart", func(r scaled) float64 { return ms(r.Formed.CPU) }}}},
		{"crowd-memory.svg", "Memory of each idle peer", "MiB", []line{{"membership and store", func(r scaled) float64 { return r.Memory / (1 << 20) }}}},
		{"crowd-messages.svg", "Messages for each operation", "messages", []line{{"PUT", func(r scaled) float64 { return r.Put.Messages }}, {"GET", func(r scaled) float64 { return r.Get.Messages }}}},
		{"crowd-cpu.svg", "CPU of all peers for each operation", "milliseconds", []line{{"PUT", func(r scaled) float64 { return ms(r.Put.CPU) }}, {"GET", func(r scaled) float64 { return ms(r.Get.CPU) }}}},
		{"crowd-latency.svg", "99 % of operations take no longer", "round trips", []line{{"PUT", func(r scaled) float64 { return r.Put.P99 }}, {"GET", func(r scaled) float64 { return r.Get.P99 }}}},
	} {
		c := plot.Lines{Title: chart.title, XName: "peers in the network", YName: chart.unit, XLog: true}
		for _, l := range chart.lines {
			series := plot.LineSeries{Name: l.name}
			for _, r := range results {
				series.X, series.Y = append(series.X, float64(r.Peers)), append(series.Y, l.of(r))
			}
			c.Series, c.XTicks = append(c.Series, series), series.X
		}
		f, err := os.Create(filepath.Join(*scalePictures, chart.file))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WriteSVG(f); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
