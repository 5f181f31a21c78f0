package recordbench

import (
	"fmt"
	"io"
	"strings"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// Write writes the report in Markdown, whose tables line up as plain text too.
func (r *Report) Write(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s. %s for each figure, %s in turns: medians, and in brackets the least rate and the greatest CPU and p99 of a round; ratios are medians of those within a round. "+
		"CPU is that of all peers together, and of those who make the requests.\n", r.Conditions, r.Duration, plural(r.Rounds, "round"))
	for _, c := range r.Comparisons {
		if err := r.writeComparison(&out, c); err != nil {
			return err
		}
	}
	for _, write := range []func(*strings.Builder) error{r.writeScale, r.writeLosses, r.writeFull, r.writeAims, r.writeNotes} {
		if err := write(&out); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// writeComparison writes a table of which the systems under one load stand together.
func (r *Report) writeComparison(out *strings.Builder, c *Comparison) error {
	fmt.Fprintf(out, "\n## %s peers\n\n", title(c.Peers))
	out.WriteString(r.explain(c))
	columns := []string{"", "value", "callers", "", "rate", "CPU each", "p50", "p99"}
	if c.Baseline != "" {
		columns = append(columns, "rate : "+c.Baseline, "CPU : "+c.Baseline)
	}
	table := measure.NewTable(columns...)
	for _, first := range c.Points {
		if first.System != c.Systems[0] {
			continue
		}
		for _, system := range c.Systems {
			if p := c.find(system, first.Operation, first.Size, first.Callers); p != nil {
				table.Add(c.row(p)...)
			}
		}
	}
	return table.Write(out)
}

func title(n int) string {
	if n == smallPeers {
		return "Three"
	}
	return fmt.Sprint(n)
}

// explain says what the systems are.
func (r *Report) explain(c *Comparison) string {
	copies := min(r.Copies, c.Peers)
	text := fmt.Sprintf("moot: %d copies, quorum %d, signed, synced unless said, all peers in one process over TCP on loopback, used from within it. ", copies, copies/2+1)
	if c.Peers == smallPeers {
		text += "moot over HTTP: real processes, used over their HTTP APIs. "
	}
	switch c.Baseline {
	case stockKadDHT:
		text += fmt.Sprintf("kad-dht: stock, k=%d, unsigned, in memory, all peers in one process. ", bucketSize)
	case stockEtcd:
		text += fmt.Sprintf("etcd %s: real processes, synced, used over gRPC, linearizable. ", r.EtcdVersion)
	}
	return text + "Every operation is at a random peer.\n\n"
}

func (c *Comparison) row(p *Point) []string {
	leastRate, _ := p.extremes(rate)
	_, mostCPU := p.extremes(cpuEach)
	_, mostP99 := p.extremes(p99)
	several := len(p.Rounds) > 1
	with := func(text, extreme string) string {
		if several {
			text += " (" + extreme + ")"
		}
		return text
	}
	callers := fmt.Sprint(p.Callers)
	if p.Operation == opSteady {
		callers = "any" // as many as are due
	}
	row := []string{
		p.Operation, bytesText(p.Size), callers, p.System,
		with(fmt.Sprintf("%.0f/s", p.median(rate)), fmt.Sprintf("%.0f", leastRate)),
		with(timeText(p.median(cpuEach)), timeText(mostCPU)),
		timeText(p.median(p50)), with(timeText(p.median(p99)), timeText(mostP99)),
	}
	if c.Baseline != "" {
		overRate := c.ratio(p, rate)
		if p.Operation == opSteady {
			overRate = 0 // each has the rate that it was given
		}
		row = append(row, ratioText(overRate), ratioText(c.ratio(p, cpuEach)))
	}
	return row
}

// timeText writes microseconds.
func timeText(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 100_000:
		return fmt.Sprintf("%.2f ms", us/1000)
	}
	return fmt.Sprintf("%.0f ms", us/1000)
}

func bytesText(n int) string {
	if n >= 1<<10 && n%(1<<10) == 0 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// ratioText writes a ratio, as a fraction of 1 where it is below.
func ratioText(ratio float64) string {
	switch {
	case ratio == 0:
		return "-"
	case ratio < 1:
		return fmt.Sprintf("1/%.1f", 1/ratio)
	}
	return fmt.Sprintf("%.1f", ratio)
}

func (r *Report) writeScale(out *strings.Builder) error {
	if len(r.Scale) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n## How cost grows\n\nmoot, synced, %d callers at %d of the peers, %s. Memory is what each idle peer adds to the process; a process of its own has the program besides.\n\n",
		scaleCallers, scaleEntries, bytesText(scaleSize))
	table := measure.NewTable("peers", "over", "memory each, idle", "CPU each, idle", "connections each", "all at work after", "PUT", "PUT CPU", "PUT p99", "GET", "GET CPU", "GET p99")
	for _, s := range r.Scale {
		memory := "-"
		if s.Memory > 0 {
			memory = fmt.Sprintf("%.1f MiB", float64(s.Memory)/(1<<20))
		}
		table.Add(fmt.Sprint(s.Peers), s.Transport, memory, fmt.Sprintf("%.2f %% of a core", 100*s.CPU), fmt.Sprintf("%.0f", s.Connections), fmt.Sprintf("%.1f s", s.Ready),
			fmt.Sprintf("%.0f/s", s.Put.Rate), timeText(s.Put.CPU), timeText(s.Put.P99),
			fmt.Sprintf("%.0f/s", s.Get.Rate), timeText(s.Get.CPU), timeText(s.Get.P99))
	}
	return table.Write(out)
}

func (r *Report) writeLosses(out *strings.Builder) error {
	if len(r.Losses) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n## Losing a peer\n\n%d records of %s; a peer is gone with its disk, without a word.\n\n", r.LossRecords, bytesText(repairSize))
	table := measure.NewTable("peers left", "records held", "bytes held", "bytes moved", "moved : held", "at full count after")
	for _, l := range r.Losses {
		table.Add(fmt.Sprint(l.Peers), fmt.Sprint(l.Records), fmt.Sprint(l.Held), fmt.Sprint(l.Moved), fmt.Sprintf("%.2f", l.Ratio()), fmt.Sprintf("%.1f s", l.Seconds))
	}
	return table.Write(out)
}

func (r *Report) writeFull(out *strings.Builder) error {
	if r.Full == nil || r.Full.Observed == 0 {
		return nil
	}
	below := func(seconds float64) string {
		if seconds < 0 {
			return "above the metric's range"
		}
		return "below " + timeText(seconds*1e6)
	}
	fmt.Fprintf(out, "\nFrom acknowledgement to full count, %d writes under all loads above: half %s, 99 %% %s, 99.9 %% %s.\n",
		r.Full.Observed, below(r.Full.P50), below(r.Full.P99), below(r.Full.P999))
	return nil
}

func (r *Report) writeNotes(out *strings.Builder) error {
	for i, n := range r.Notes {
		if i == 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(out, "Note: %s.\n", n)
	}
	return nil
}
