package plot

import (
	"fmt"
	"io"
	"strings"
)

// Bars is a chart of bars in groups, a bar for each series.
type Bars struct {
	Title string
	// Groups name the groups; a line break is kept.
	Groups []string
	// XName says what the groups are, YName with its unit what the bars are.
	XName, YName string
	// Log makes the vertical axis logarithmic.
	Log    bool
	Series []BarSeries
}

// BarSeries is a value for each group; 0 draws no bar.
type BarSeries struct {
	Name   string
	Values []float64
	// Low and High are the range around each value; empty where none is known.
	Low, High []float64
}

// WriteSVG draws the chart.
func (b Bars) WriteSVG(w io.Writer) error {
	var values []float64
	var names []string
	for _, s := range b.Series {
		values = append(append(append(values, s.Values...), s.High...), s.Low...)
		names = append(names, s.Name)
	}
	c := newCanvas(b.Title)
	c.legend(names)
	y := newAxis(b.Log, values)
	y.start, y.end = height-bottom, top
	c.vertical(&y, b.YName)
	groupWidth := float64(width-left-right) / float64(max(1, len(b.Groups)))
	barWidth := groupWidth * 0.8 / float64(max(1, len(b.Series)))
	for g, name := range b.Groups {
		x := left + groupWidth*(float64(g)+0.1)
		for i, s := range b.Series {
			b.bar(c, &y, s, i, g, x+float64(i)*barWidth, barWidth)
		}
		for i, line := range strings.Split(name, "\n") {
			c.text(left+groupWidth*(float64(g)+0.5), height-bottom+16+float64(i*lineDistance), "middle", "", line)
		}
	}
	c.base(b.XName)
	return c.writeTo(w)
}

// bar draws the bar of series i in a group, with its range.
func (b Bars) bar(c *canvas, y *axis, s BarSeries, i, group int, x, barWidth float64) {
	if group >= len(s.Values) || s.Values[group] <= 0 {
		return
	}
	const gap = 1.5
	at := y.at(s.Values[group])
	fmt.Fprintf(&c.b, `<rect class="s%d" stroke="none" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s, %s: %s</title></rect>`+"\n",
		i%maxSeries, x+gap, at, max(1, barWidth-2*gap), max(0, y.start-at), escape(s.Name), escape(strings.ReplaceAll(b.Groups[group], "\n", " ")), label(s.Values[group]))
	if group < len(s.Low) && group < len(s.High) && s.Low[group] > 0 && s.High[group] > s.Low[group] {
		c.line("range", x+barWidth/2, y.at(s.Low[group]), x+barWidth/2, y.at(s.High[group]))
	}
}
