// Package plot draws bar and line charts as SVG files that can be read on light and dark pages, and without colours by the names beside them.
package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Sizes in pixels.
const (
	width        = 760
	height       = 380
	left         = 70
	right        = 20
	top          = 68
	bottom       = 58
	tickLength   = 5
	legendMark   = 12
	legendGap    = 24
	letterWidth  = 7 // about, of the small letters
	lineDistance = 15
)

// style has colours for light pages, and for dark ones in place of them.
const style = `
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.axis { stroke: #59636e; fill: none; }
.grid { stroke: #d1d9e0; fill: none; }
.range { stroke: #1f2328; fill: none; }
.line { fill: none; stroke-width: 2.5; }
.s0 { fill: #0969da; stroke: #0969da; } .s1 { fill: #54aeff; stroke: #54aeff; } .s2 { fill: #bc4c00; stroke: #bc4c00; }
.s3 { fill: #1a7f37; stroke: #1a7f37; } .s4 { fill: #8250df; stroke: #8250df; } .s5 { fill: #9a6700; stroke: #9a6700; }
.line { fill: none; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.axis { stroke: #9198a1; }
.grid { stroke: #3d444d; }
.range { stroke: #e6edf3; }
.s0 { fill: #4493f8; stroke: #4493f8; } .s1 { fill: #a5d6ff; stroke: #a5d6ff; } .s2 { fill: #f0883e; stroke: #f0883e; }
.s3 { fill: #3fb950; stroke: #3fb950; } .s4 { fill: #ab7df8; stroke: #ab7df8; } .s5 { fill: #d29922; stroke: #d29922; }
.line { fill: none; }
}
`

// maxSeries is how many series have a colour of their own.
const maxSeries = 6

// canvas is a chart being drawn.
type canvas struct{ b strings.Builder }

func newCanvas(title string) *canvas {
	c := new(canvas)
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, width, height, width, height)
	fmt.Fprintf(&c.b, "\n<title>%s</title>\n<style>%s</style>\n", escape(title), style)
	c.text(left, 22, "start", "title", title)
	return c
}

func (c *canvas) writeTo(w io.Writer) error {
	c.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, c.b.String())
	return err
}

func (c *canvas) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, escape(text))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.b, `<path class="%s" d="M%.1f %.1fL%.1f %.1f"/>`+"\n", class, x1, y1, x2, y2)
}

// legend names the series above the chart.
func (c *canvas) legend(names []string) {
	x := float64(left)
	for i, name := range names {
		fmt.Fprintf(&c.b, `<rect class="s%d" x="%.1f" y="36" width="%d" height="%d" rx="2"/>`+"\n", i%maxSeries, x, legendMark, legendMark)
		c.text(x+legendMark+5, 46, "start", "", name)
		x += legendMark + legendGap + float64(letterWidth*len([]rune(name)))
	}
}

// vertical draws the vertical axis with a grid.
func (c *canvas) vertical(a *axis, name string) {
	for _, t := range a.ticks {
		y := a.at(t)
		c.line("grid", left, y, width-right, y)
		c.text(left-tickLength-3, y+4, "end", "", label(t))
	}
	c.line("axis", left, a.start, left, a.end)
	middle := (a.start + a.end) / 2
	fmt.Fprintf(&c.b, `<text x="16" y="%.1f" text-anchor="middle" transform="rotate(-90 16 %.1f)">%s</text>`+"\n", middle, middle, escape(name))
}

// base draws the horizontal axis' line and its name.
func (c *canvas) base(name string) {
	c.line("axis", left, height-bottom, width-right, height-bottom)
	c.text((left+width-right)/2, height-8, "middle", "", name)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
