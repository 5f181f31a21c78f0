package payments

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Row is a line of the list as it is written.
type Row struct {
	// Line is where it begins in the file, from 1.
	Line int
	// From and Asset are empty where the list does not say.
	To, Amount, Asset, Memo, From string
}

// BadLine is a line that is no payment.
type BadLine struct {
	Line int
	Err  error
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// columns are the columns that a list may have, in the order of Row.
var columns = []string{"to", "amount", "asset", "memo", "from"}

// ParseList reads a list: a header that names the columns, and a line for each payment. Bad lines are told one by one; an error, of kind fault.Invalid, is about the whole file.
func ParseList(data []byte) (rows []Row, bad []BadLine, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, byteOrderMark)))
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, fault.New(fault.Invalid, "it is empty: the first line names the columns, as in to,amount,asset,memo")
	}
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "the first line: %w", err)
	}
	at, err := readHeader(header)
	if err != nil {
		return nil, nil, err
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, bad, nil
		}
		line := 0
		if e, ok := errors.AsType[*csv.ParseError](err); ok {
			bad = append(bad, BadLine{e.StartLine, e.Err})
			if errors.Is(e.Err, csv.ErrFieldCount) {
				continue
			}
			return rows, bad, nil // what follows a quote that is not closed can't be told apart
		}
		if err != nil {
			return nil, nil, fault.New(fault.Invalid, "read the list: %w", err)
		}
		line, _ = r.FieldPos(0)
		row := readRow(line, at, cells)
		if err := row.check(); err != nil {
			bad = append(bad, BadLine{line, err})
			continue
		}
		rows = append(rows, row)
	}
}

// readHeader returns where each of columns is, -1 where it is not.
func readHeader(header []string) ([]int, error) {
	at := []int{-1, -1, -1, -1, -1}
	for i, name := range header {
		name = strings.TrimSpace(name)
		c := slices.Index(columns, name)
		switch {
		case c < 0:
			return nil, fault.New(fault.Invalid, "the first line names the column %q: there are %s", name, strings.Join(columns, ", "))
		case at[c] >= 0:
			return nil, fault.New(fault.Invalid, "the first line names the column %q twice", name)
		}
		at[c] = i
	}
	for c := range 2 {
		if at[c] < 0 {
			return nil, fault.New(fault.Invalid, "the first line names no column %q: it should be as to,amount,asset,memo", columns[c])
		}
	}
	return at, nil
}

func readRow(line int, at []int, cells []string) Row {
	row := Row{Line: line}
	for c, to := range []*string{&row.To, &row.Amount, &row.Asset, &row.Memo, &row.From} {
		if at[c] < 0 {
			continue
		}
		*to = cells[at[c]]
		if columns[c] != "memo" {
			*to = strings.TrimSpace(*to)
		}
	}
	return row
}

// check checks what needs no names.
func (r *Row) check() error {
	switch {
	case r.To == "":
		return fault.New(fault.Invalid, "the account that gets it is missing")
	case len(r.Memo) > ledger.MaxMemo:
		return fault.New(fault.Invalid, "a memo of %d bytes: at most %d", len(r.Memo), ledger.MaxMemo)
	case !utf8.ValidString(r.Memo):
		return fault.New(fault.Invalid, "the memo is not UTF-8")
	}
	_, err := ledger.ParseAmount(r.Amount, ledger.MaxScale)
	return err
}
