package plot

import (
	"fmt"
	"io"
	"strings"
)

// Lines is a chart of lines through points.
type Lines struct {
	Title string
	// XName and YName say what the axes are, with their units.
	XName, YName string
	// XLog and YLog make an axis logarithmic.
	XLog, YLog bool
	// XTicks are the values named below the horizontal axis; empty leaves the choice.
	XTicks []float64
	Series []LineSeries
}

// LineSeries are points; X and Y have the same length.
type LineSeries struct {
	Name string
	X, Y []float64
}

// WriteSVG draws the chart.
func (l Lines) WriteSVG(w io.Writer) error {
	var xs, ys []float64
	var names []string
	for _, s := range l.Series {
		xs, ys = append(xs, s.X...), append(ys, s.Y...)
		names = append(names, s.Name)
	}
	c := newCanvas(l.Title)
	c.legend(names)
	x, y := newAxis(l.XLog, xs), newAxis(l.YLog, ys)
	x.start, x.end, y.start, y.end = left, width-right, height-bottom, top
	c.vertical(&y, l.YName)
	ticks := l.XTicks
	if len(ticks) == 0 {
		ticks = x.ticks
	}
	for _, t := range ticks {
		c.line("axis", x.at(t), y.start, x.at(t), y.start+tickLength)
		c.text(x.at(t), y.start+tickLength+14, "middle", "", label(t))
	}
	for i, s := range l.Series {
		l.series(c, &x, &y, s, i)
	}
	c.base(l.XName)
	return c.writeTo(w)
}

func (l Lines) series(c *canvas, x, y *axis, s LineSeries, i int) {
	var path strings.Builder
	for k := range min(len(s.X), len(s.Y)) {
		px, py := x.at(s.X[k]), y.at(s.Y[k])
		command := byte('L')
		if k == 0 {
			command = 'M'
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", command, px, py)
		fmt.Fprintf(&c.b, `<circle class="s%d" cx="%.1f" cy="%.1f" r="4"><title>%s, %s: %s</title></circle>`+"\n",
			i%maxSeries, px, py, escape(s.Name), label(s.X[k]), label(s.Y[k]))
	}
	fmt.Fprintf(&c.b, `<path class="s%d line" d="%s"/>`+"\n", i%maxSeries, path.String())
}
