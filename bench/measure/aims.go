package measure

import (
	"fmt"
	"strings"
)

// Aim is something that is to be reached.
type Aim struct {
	What string
	// Want is the least value that is wanted, or the greatest where AtMost says so; Got is what was measured.
	Want, Got float64
	AtMost    bool
	// Text returns a value as people read it.
	Text func(float64) string
}

// Met reports whether it was reached.
func (a Aim) Met() bool {
	if a.AtMost {
		return a.Got <= a.Want
	}
	return a.Got >= a.Want
}

// WriteAims writes a section with aims under a title; without aims there is none.
func WriteAims(out *strings.Builder, title string, aims []Aim) error {
	if len(aims) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n## %s\n\n", title)
	table := NewTable("", "aim", "measured", "")
	for _, a := range aims {
		sign, met := "≥ ", "missed"
		if a.AtMost {
			sign = "≤ "
		}
		if a.Met() {
			met = "met"
		}
		table.Add(a.What, sign+a.Text(a.Want), a.Text(a.Got), met)
	}
	return table.Write(out)
}
