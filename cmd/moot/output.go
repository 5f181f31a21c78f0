package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// printf writes what a person reads to stdout.
func (a *app) printf(format string, args ...any) {
	fmt.Fprintf(a.stdout, format, args...)
}

// notef writes a remark to stderr, except when only errors may be there.
func (a *app) notef(format string, args ...any) {
	switch {
	case a.json:
	case a.log != nil:
		a.log.Info(fmt.Sprintf(format, args...))
	default:
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// printJSON writes v as one document to stdout.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// show writes v as JSON when that was asked for, and otherwise what human prints.
func (a *app) show(v any, human func()) error {
	if a.json {
		return a.printJSON(v)
	}
	human()
	return nil
}

// newTable returns a writer that aligns cells separated by tabs. It must be flushed.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
}

// plural returns "1 record", "2 records".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(int64(n)) + " " + noun + "s"
}

// grouped writes n with commas between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// byteSize writes n bytes in the largest unit that fits: "17 B", "1.5 MiB".
func byteSize(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, prefix := float64(n)/unit, 0
	for size >= unit-0.05 && prefix < len("KMGTPE")-1 {
		size /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTPE"[prefix])
}

// copiesText says how many copies there are: "3 of 5", or "2 of 2; 5 wanted" while the network is smaller than the copies configured.
func copiesText(stored, wanted, configured int) string {
	text := fmt.Sprintf("%d of %d", stored, wanted)
	if wanted < configured {
		text += fmt.Sprintf("; %d wanted", configured)
	}
	return text
}

// ago writes the time that passed from t to now, roughly: "3s", "2h", "5d".
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return roughly(now.Sub(t))
}

// roughly writes d in its largest unit.
func roughly(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// millis writes a time in microseconds as milliseconds.
func millis(micros int64) string {
	return fmt.Sprintf("%.2f ms", float64(micros)/1000)
}

// orDash returns text, or a dash where a table would have a hole. Text from other peers is made harmless.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

// expiry writes when something ends.
func expiry(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
