package recordbench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/folkmoot/folkmoot/bench/plot"
)

// chart is something that draws itself.
type chart interface{ WriteSVG(io.Writer) error }

// WritePlots draws the report as SVG files in a folder, which it makes, and returns their names.
func (r *Report) WritePlots(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make the folder for plots: %w", err)
	}
	charts := r.charts()
	var names []string
	for _, c := range charts {
		name := filepath.Join(dir, c.name+".svg")
		if err := writeChart(name, c.chart); err != nil {
			return names, fmt.Errorf("write a plot: %w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

func writeChart(name string, c chart) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := c.WriteSVG(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

type namedChart struct {
	name  string
	chart chart
}

func (r *Report) charts() []namedChart {
	var out []namedChart
	for _, c := range r.Comparisons {
		for _, size := range c.sizes() {
			about := fmt.Sprintf("%d peers, values of %s", c.Peers, bytesText(size))
			name := fmt.Sprintf("records-%d-peers-%d-bytes-", c.Peers, size)
			out = append(out,
				namedChart{name + "rate", c.bars("Operations a second: "+about, "operations a second", size, rate, 1)},
				namedChart{name + "cpu", c.bars("CPU of all peers for each operation: "+about, "milliseconds", size, cpuEach, 1e-3)},
				namedChart{name + "p99", c.bars("Time that 99 % of operations stay below: "+about, "milliseconds", size, p99, 1e-3)})
		}
	}
	if len(r.Scale) > 1 {
		out = append(out,
			namedChart{"records-scale-cpu", r.scaleLines("CPU of all peers for each operation", "milliseconds", []scaleSeries{
				{"PUT", func(s Scaled) float64 { return s.Put.CPU / 1e3 }}, {"GET", func(s Scaled) float64 { return s.Get.CPU / 1e3 }},
			})},
			namedChart{"records-scale-memory", r.scaleLines("Memory of each idle peer", "MiB", []scaleSeries{
				{"moot", func(s Scaled) float64 { return float64(s.Memory) / (1 << 20) }},
			})},
			namedChart{"records-scale-idle", r.scaleLines("CPU of each idle peer", "percent of a core", []scaleSeries{
				{"moot", func(s Scaled) float64 { return 100 * s.CPU }},
			})})
	}
	return out
}

// sizes returns the sizes of values in the order in which they were measured.
func (c *Comparison) sizes() []int {
	var sizes []int
	seen := map[int]bool{}
	for _, p := range c.Points {
		if !seen[p.Size] {
			seen[p.Size] = true
			sizes = append(sizes, p.Size)
		}
	}
	return sizes
}

// bars draws one of the figures for every load with values of a size, with the range over the rounds.
func (c *Comparison) bars(title, unit string, size int, of func(Figures) float64, scale float64) plot.Bars {
	b := plot.Bars{Title: title, XName: "operation and number of callers", YName: unit, Log: true}
	for _, system := range c.Systems {
		s := plot.BarSeries{Name: system}
		for _, at := range c.Points {
			if at.System != c.Systems[0] || at.Size != size || at.Operation == opSteady {
				continue
			}
			if system == c.Systems[0] {
				b.Groups = append(b.Groups, fmt.Sprintf("%s\n%d", at.Operation, at.Callers))
			}
			var value, least, most float64
			if p := c.find(system, at.Operation, size, at.Callers); p != nil {
				value = p.median(of)
				least, most = p.extremes(of)
			}
			s.Values, s.Low, s.High = append(s.Values, value*scale), append(s.Low, least*scale), append(s.High, most*scale)
		}
		b.Series = append(b.Series, s)
	}
	return b
}

type scaleSeries struct {
	name string
	of   func(Scaled) float64
}

// scaleLines draws figures over the number of peers.
func (r *Report) scaleLines(title, unit string, series []scaleSeries) plot.Lines {
	l := plot.Lines{Title: title, XName: "peers in the network", YName: unit, XLog: true}
	for _, s := range r.Scale {
		l.XTicks = append(l.XTicks, float64(s.Peers))
	}
	for _, one := range series {
		line := plot.LineSeries{Name: one.name, X: l.XTicks}
		for _, s := range r.Scale {
			line.Y = append(line.Y, one.of(s))
		}
		l.Series = append(l.Series, line)
	}
	return l
}
