package measure

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A Table is a heading and rows of cells, written as a Markdown table that lines up as plain text too.
type Table struct {
	header []string
	rows   [][]string
}

// NewTable returns a table with the given columns and no rows.
func NewTable(columns ...string) *Table { return &Table{header: columns} }

// Add adds a row; its cells are those of the columns in order.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// Write writes the table to w.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			fmt.Fprintf(&out, "| %-*s ", widths[i], cell)
		}
		out.WriteString("|\n")
	}
	line(t.header)
	for _, width := range widths {
		out.WriteString("|" + strings.Repeat("-", width+2))
	}
	out.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
