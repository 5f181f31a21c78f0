package ledgerbench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/bench/measure"
)

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Write writes the report in Markdown, whose tables line up as plain text too.
func (r *Report) Write(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s. %s for each figure; batches are of %d transfers. Nodes are processes that sync to disk and check every signature; requests go over HTTP to all validators by turns and are answered "+
		"when they are in a block. CPU is that of all nodes together for each transfer; the program that hands transfers in, already signed, shares the machine and is counted apart.\n",
		r.Conditions, r.Duration, r.Batch)
	for _, n := range r.Networks {
		if err := r.writeNetwork(&out, n); err != nil {
			return err
		}
	}
	if err := r.writeAims(&out); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "\nNote: %s.\n", note)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *Report) writeNetwork(out *strings.Builder, n *Network) error {
	fmt.Fprintf(out, "\n## %s, %s\n\n", plural(n.Validators, "validator"), plural(n.Accounts, "account"))
	beside := r.KVStore != nil && n == r.Networks[0]
	columns := []string{"", "callers", "rate", "CPU each", "generator", "p50", "p99", "transfers a block"}
	if beside {
		columns = append(columns, "rate : kvstore", "CPU : kvstore")
	}
	table := measure.NewTable(columns...)
	row := func(name string, f *Figures, generator string) {
		cells := []string{name, fmt.Sprint(f.Callers), fmt.Sprintf("%.0f/s", f.Rate), fmt.Sprintf("%.0f µs", f.CPU), generator, fmt.Sprintf("%.0f ms", f.P50), fmt.Sprintf("%.0f ms", f.P99), fmt.Sprintf("%.0f", perBlock(f))}
		if beside {
			cells = append(cells, ratio(f.Rate, r.KVStore.Rate), ratio(f.CPU, r.KVStore.CPU))
		}
		table.Add(cells...)
	}
	for i := range n.Loads {
		row(n.Loads[i].Load, &n.Loads[i], fmt.Sprintf("%.0f µs", n.Loads[i].Generator))
	}
	if beside {
		row("CometBFT's kvstore, "+LoadSingle, r.KVStore, "in CPU")
	}
	if err := table.Write(out); err != nil {
		return err
	}
	if beside {
		fmt.Fprintf(out, "\nCometBFT's kvstore: the same %s of CometBFT on the same hosts in one process, entries of %d bytes without signatures, one CometBFT transaction each, without HTTP.\n", plural(n.Validators, "validator"), n.TransferBytes)
	}
	if d := n.Disk; d != nil {
		fmt.Fprintf(out, "\nOn a node's disk %.0f bytes for each of %d transfers, of which a client sent %d:", d.Total, d.Transfers, n.TransferBytes)
		for _, part := range slices.Sorted(maps.Keys(d.Parts)) {
			fmt.Fprintf(out, " %s %.0f", part, d.Parts[part])
		}
		out.WriteString(".\n")
	}
	if c := n.CatchUp; c != nil {
		fmt.Fprintf(out, "\nA new node caught up with %d transfers in %d blocks within %.1f s, %.0f/s, at %.0f µs of its CPU each.\n", c.Transfers, c.Blocks, c.Seconds, float64(c.Transfers)/c.Seconds, c.CPU)
	}
	return nil
}

func perBlock(f *Figures) float64 {
	if f.Blocks == 0 {
		return 0
	}
	return float64(f.Transfers) / float64(f.Blocks)
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// aimValidators is the number of validators that the aims are for.
const aimValidators = 4

// Aims returns the aims, on two cores and one disk, of which everything was measured.
func (r *Report) Aims() (aims []measure.Aim) {
	if len(r.Networks) == 0 || r.Networks[0].Validators != aimValidators {
		return nil
	}
	n := r.Networks[0]
	in := func(unit string) func(float64) string {
		return func(v float64) string { return fmt.Sprintf("%.0f%s", v, unit) }
	}
	if f := n.load(LoadSingle); f != nil {
		aims = append(aims, measure.Aim{What: LoadSingle + ", rate", Want: 4000, Got: f.Rate, Text: in("/s")},
			measure.Aim{What: LoadSingle + ", CPU of all nodes", Want: 400, Got: f.CPU, AtMost: true, Text: in(" µs")})
	}
	if f := n.load(LoadLight); f != nil {
		aims = append(aims, measure.Aim{What: LoadLight + ", p50", Want: 100, Got: f.P50, AtMost: true, Text: in(" ms")})
	}
	if f := n.load(LoadBatch); f != nil {
		aims = append(aims, measure.Aim{What: LoadBatch + ", rate", Want: 8000, Got: f.Rate, Text: in("/s")})
	}
	return aims
}

func (r *Report) writeAims(out *strings.Builder) error {
	return measure.WriteAims(out, fmt.Sprintf("Aims for %d validators on two cores", aimValidators), r.Aims())
}
