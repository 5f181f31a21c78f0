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

// Aim is something that is to be reached on two cores and one disk.
type Aim struct {
	What string
	// Want is the least value that is wanted, or the greatest where AtMost says so; Got is what was measured.
	Want, Got float64
	AtMost    bool
	text      func(float64) string
}

// Met reports whether it was reached.
func (a Aim) Met() bool {
	if a.AtMost {
		return a.Got <= a.Want
	}
	return a.Got >= a.Want
}

// Aims returns the aims of which everything was measured.
func (r *Report) Aims() []Aim {
	var aims []Aim
	perSecond := func(v float64) string { return fmt.Sprintf("%.0f/s", v) }
	for _, c := range r.Comparisons {
		if c.Peers != aimPeers {
			continue
		}
		add := func(operation, what string, want float64, atMost bool, of func(*Point) float64, text func(float64) string) {
			if p := c.find(mootSynced, operation, aimSize, aimCallers); p != nil && of(p) > 0 {
				aims = append(aims, Aim{operation + ", " + what, want, of(p), atMost, text})
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
	aims := r.Aims()
	if len(aims) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n## Aims for %d peers, %d callers, %s, synced\n\n", aimPeers, aimCallers, bytesText(aimSize))
	table := measure.NewTable("", "aim", "measured", "")
	for _, a := range aims {
		sign, met := "≥ ", "missed"
		if a.AtMost {
			sign = "≤ "
		}
		if a.Met() {
			met = "met"
		}
		table.Add(a.What, sign+a.text(a.Want), a.text(a.Got), met)
	}
	return table.Write(out)
}
