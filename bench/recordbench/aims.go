package recordbench

import (
	"fmt"
	"strings"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// The load that the aims are for: 32 peers, synced.
const (
	aimPeers   = 32
	aimSize    = 256
	aimCallers = 64
)

// Aims returns the aims, on two cores and one disk, of which everything was measured.
func (r *Report) Aims() (aims []measure.Aim) {
	perSecond := func(v float64) string { return fmt.Sprintf("%.0f/s", v) }
	for _, c := range r.Comparisons {
		if c.Peers != aimPeers {
			continue
		}
		add := func(operation, what string, want float64, atMost bool, of func(*Point) float64, text func(float64) string) {
			if p := c.find(mootSynced, operation, aimSize, aimCallers); p != nil && of(p) > 0 {
				aims = append(aims, measure.Aim{What: operation + ", " + what, Want: want, Got: of(p), AtMost: atMost, Text: text})
			}
		}
		median := func(of func(Figures) float64) func(*Point) float64 {
			return func(p *Point) float64 { return p.median(of) }
		}
		overBaseline := func(p *Point) float64 { return c.ratio(p, rate) }
		add(opPut, "rate", 900, false, median(rate), perSecond)
		add(opPut, "CPU of all peers", 1200, true, median(cpuEach), timeText)
		add(opPut, "rate over kad-dht's", 4, false, overBaseline, ratioText)
		add(opGet, "rate", 7000, false, median(rate), perSecond)
		add(opGet, "CPU of all peers", 250, true, median(cpuEach), timeText)
		add(opGet, "rate over kad-dht's", 20, false, overBaseline, ratioText)
		add(opSteady, "p99", 20_000, true, median(p99), timeText)
	}
	return aims
}

func (r *Report) writeAims(out *strings.Builder) error {
	return measure.WriteAims(out, fmt.Sprintf("Aims for %d peers, %d callers, %s, synced", aimPeers, aimCallers, bytesText(aimSize)), r.Aims())
}
