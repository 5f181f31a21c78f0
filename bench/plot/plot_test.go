package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		log    bool
		values []float64
		want   []float64
	}{
		{false, []float64{3, 9}, []float64{0, 2, 4, 6, 8, 10}},
		{false, []float64{10}, []float64{0, 2, 4, 6, 8, 10}},
		{false, nil, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{true, []float64{8, 512}, []float64{5, 10, 20, 50, 100, 200, 500, 1000}},
		{true, []float64{3, 7_000}, []float64{1, 10, 100, 1000, 10_000}},
		{true, []float64{10, 10}, []float64{10, 20}},
		{true, []float64{0, -1}, []float64{1, 2, 5, 10}},
	} {
		a := newAxis(tt.log, tt.values)
		if !slices.EqualFunc(a.ticks, tt.want, func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }) {
			t.Errorf("log %v, %v: got %v, want %v", tt.log, tt.values, a.ticks, tt.want)
		}
	}
}

func TestPositions(t *testing.T) {
	a := newAxis(true, []float64{10, 1000})
	a.start, a.end = 100, 0
	for v, want := range map[float64]float64{10: 100, 100: 50, 1000: 0, 0: 100} {
		if got := a.at(v); got < want-0.01 || got > want+0.01 {
			t.Errorf("%v is at %v, want %v", v, got, want)
		}
	}
}

func TestLabels(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 20: "20", 1000: "1k", 2.5e6: "2.5M", 1e9: "1G"} {
		if got := label(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

// TestChartsAreXML draws charts with what needs escaping and with gaps, and reads them again.
func TestChartsAreXML(t *testing.T) {
	for name, chart := range map[string]interface{ WriteSVG(io.Writer) error }{
		"bars": Bars{Title: "a < b & c", Groups: []string{"PUT\n1", "GET\n1"}, YName: "µs", Log: true, Series: []BarSeries{
			{Name: "x & y", Values: []float64{10, 0}, Low: []float64{8, 0}, High: []float64{12, 0}}, {Name: "short", Values: []float64{5}},
		}},
		"lines": Lines{Title: "t", XName: "peers", YName: "ms", XLog: true, XTicks: []float64{8, 32}, Series: []LineSeries{{Name: "<n>", X: []float64{8, 32}, Y: []float64{1, 2}}}},
		"empty": Bars{},
		"none":  Lines{YLog: true},
	} {
		var out strings.Builder
		if err := chart.WriteSVG(&out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := xml.NewDecoder(strings.NewReader(out.String()))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in:\n%s", name, err, out.String())
			}
		}
		if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") {
			t.Errorf("%s: a position that is no number:\n%s", name, out.String())
		}
	}
}
