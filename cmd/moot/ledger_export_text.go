package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// escaped writes text that anybody may have written so that it stays in its line and begins nothing there: what is no printable character, the backslash and those of also are written as escapes.
func escaped(text, also string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x80 && (!unicode.IsPrint(r) || strings.ContainsRune(also, r)):
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// memoOf returns the memo as it is.
func memoOf(t *v1.Transaction) string {
	if len(t.MemoBase64) > 0 {
		return string(t.MemoBase64)
	}
	return t.Memo
}

func writeJSONLines(w io.Writer, h *histories) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range h.entries {
		if err := e.Encode(&h.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// cell writes text into a table so that no spreadsheet takes it for a formula.
func cell(text string) string {
	text = escaped(text, "")
	if trimmed := strings.TrimLeft(text, " '"); trimmed != "" && strings.ContainsRune("=+-@", rune(trimmed[0])) {
		return "'" + text
	}
	return text
}

func writeCSV(out io.Writer, h *histories, tell *teller) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"time", "height", "id", "operation", "kind", "asset", "amount", "from", "to", "memo", "applied"}); err != nil {
		return err
	}
	for i := range h.entries {
		t := &h.entries[i]
		tell := tell.about(t.Applied)
		for n := range t.Transaction.Operations {
			o := &t.Transaction.Operations[n]
			if o.Kind == ledger.KindDefineAsset.String() {
				tell.define(o)
			}
			amount := o.Amount
			if amount != "" {
				scale, err := tell.knownScale(o.Asset, t.Applied)
				if err != nil {
					return err
				}
				if scale >= 0 {
					amount = amountText(amount, uint8(scale))
				}
			}
			from := o.From
			if from == "" {
				from = o.By
			}
			row := []string{
				t.Time.UTC().Format(time.RFC3339Nano), strconv.FormatInt(t.Height, 10), cell(t.ID), strconv.Itoa(n + 1), cell(o.Kind), cell(o.Asset), cell(amount), cell(from), cell(o.To),
				cell(memoOf(&t.Transaction)), strconv.FormatBool(t.Applied),
			}
			if err := w.Write(row); err != nil {
				return err
			}
		}
	}
	w.Flush()
	return w.Error()
}

// knownScale returns the scale of an asset. That of an asset which something was done with must be known; -1 stands for one that only a failed transaction names.
func (t *teller) knownScale(asset string, must bool) (int, error) {
	scale := t.scale(asset)
	if scale < 0 && must {
		return 0, fault.New(fault.Unavailable, "the node does not tell how many decimal places %s has", printable(asset))
	}
	return scale, nil
}

// journal writes what hledger reads.
type journal struct {
	w    io.Writer
	tell *teller
	// symbols are what assets are written as.
	symbols map[string]string
	err     error
}

func writeJournal(w io.Writer, h *histories, tell *teller) error {
	j := &journal{w: w, tell: tell, symbols: symbolsOf(h.entries)}
	j.printf("; The ledger up to block %d.\n\ndecimal-mark .\n", h.height)
	j.declare(h)
	for i := range h.entries {
		j.entry(&h.entries[i])
	}
	return j.err
}

func (j *journal) printf(format string, args ...any) {
	if j.err == nil {
		_, j.err = fmt.Fprintf(j.w, format, args...)
	}
}

// symbolsOf returns the commodities of the assets that were moved: their codes, and the whole id where several have the same code.
func symbolsOf(entries []v1.CommittedTransaction) map[string]string {
	symbols, codes := make(map[string]string), make(map[string]int)
	for i := range entries {
		for _, o := range entries[i].Transaction.Operations {
			if _, known := symbols[o.Asset]; !known && entries[i].Applied && moves(&o) {
				symbols[o.Asset] = ""
				codes[codeOf(o.Asset)]++
			}
		}
	}
	for asset := range symbols {
		symbol := codeOf(asset)
		if codes[symbol] > 1 {
			symbol = asset
		}
		if strings.ContainsFunc(symbol, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			symbol = `"` + escaped(symbol, `";`) + `"`
		}
		symbols[asset] = symbol
	}
	return symbols
}

func codeOf(asset string) string {
	code, _, _ := strings.Cut(asset, "@")
	return code
}

// moves tells whether an operation changes balances.
func moves(o *v1.Operation) bool {
	return o.Kind == ledger.KindIssue.String() || o.Kind == ledger.KindTransfer.String() || o.Kind == ledger.KindRetire.String()
}

// declare says with how many places commodities are written, and which accounts names stand for.
func (j *journal) declare(h *histories) {
	var assets []string
	for asset := range j.symbols {
		assets = append(assets, asset)
	}
	slices.Sort(assets)
	for _, asset := range assets {
		scale, err := j.tell.knownScale(asset, true)
		if err != nil {
			j.err = err
			return
		}
		one := amountText("1"+strings.Repeat("0", scale), uint8(scale))
		if scale == 0 {
			one += "."
		}
		j.printf("commodity %s %s\n", one, j.symbols[asset])
	}
	j.printf("\n")
	for _, id := range h.accounts {
		if name := j.tell.names(id); name != "" {
			j.printf("; %s is %s\n", name, id)
		}
	}
}

// entry writes a transaction. Texts that people wrote are in its description and in comments of the journal, never in comments of the transaction, where hledger looks for tags.
func (j *journal) entry(t *v1.CommittedTransaction) {
	date, id, memo := t.Time.UTC().Format(time.DateOnly), escaped(t.ID, "();"), escaped(memoOf(&t.Transaction), ";")
	j.printf("\n")
	moved, tell := false, j.tell.about(t.Applied)
	for i := range t.Transaction.Operations {
		o := &t.Transaction.Operations[i]
		if t.Applied && moves(o) {
			moved = true
			continue
		}
		j.printf("; %s %s, block %d: %s\n", date, id, t.Height, escaped(tell.operation(o), ""))
	}
	switch {
	case !t.Applied:
		j.printf("; it did nothing: %s\n", escaped(failureText(t), ""))
		fallthrough
	case !moved:
		if memo != "" {
			j.printf("; memo: %s\n", memo)
		}
		return
	}
	j.printf("%s\n", strings.TrimSpace(fmt.Sprintf("%s * (%s) %s", date, id, strings.TrimSpace(memo))))
	for i := range t.Transaction.Operations {
		if o := &t.Transaction.Operations[i]; moves(o) {
			j.postings(o)
		}
	}
}

// postings writes what an operation moved.
func (j *journal) postings(o *v1.Operation) {
	scale, err := j.tell.knownScale(o.Asset, true)
	if err != nil {
		j.err = err
		return
	}
	amount := amountText(o.Amount, uint8(scale)) + " " + j.symbols[o.Asset]
	outside := "issued:" + escaped(assetText(o.Asset, j.tell.names), ";")
	from, to := outside, outside
	if o.From != "" {
		from = j.account(o.From)
	}
	if o.To != "" {
		to = j.account(o.To)
	}
	j.printf("    %s  -%s\n    %s  %s\n", from, amount, to, amount)
}

func (j *journal) account(id string) string { return "accounts:" + escaped(j.tell.account(id), ";") }
