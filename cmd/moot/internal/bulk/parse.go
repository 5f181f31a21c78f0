package bulk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Record is one record of an input.
type Record struct {
	Key   string
	Value []byte
	// Expires is when the record's life ends; zero means never.
	Expires time.Time
}

// Format is how an input writes its records.
type Format string

// Formats of an input.
const (
	// Auto takes the format from the first line that is not empty: JSONLines if it begins with a brace, else TSV.
	Auto Format = "auto"
	// JSONLines has a JSON object a line: {"key":"k","value":"text"}, or value_base64 in place of value; expires is optional, author and
	// version are accepted and ignored.
	JSONLines Format = "jsonl"
	// TSV has a line of key, tab, value; the value is everything after the first tab.
	TSV Format = "tsv"
)

// detect returns the format of an input whose first line that is not empty is line.
func detect(line []byte) Format {
	if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("{")) {
		return JSONLines
	}
	return TSV
}

// blank tells whether a line holds nothing in any format. A lone tab is a TSV line without a key, and so bad.
func blank(line []byte) bool { return len(bytes.Trim(line, " ")) == 0 }

// parse reads a line. Its errors are fault.Invalid.
func parse(format Format, line []byte) (Record, error) {
	var r Record
	var err error
	if format == JSONLines {
		r, err = parseJSON(line)
	} else {
		r, err = parseTSV(line)
	}
	return r, fault.As(fault.Invalid, err)
}

func parseTSV(line []byte) (Record, error) {
	key, value, found := bytes.Cut(line, []byte("\t"))
	if !found {
		return Record{}, errors.New("no tab between key and value")
	}
	return Record{Key: string(key), Value: bytes.Clone(value)}, nil
}

func parseJSON(line []byte) (Record, error) {
	if !utf8.Valid(line) { // encoding/json would replace what is not
		return Record{}, errors.New("not UTF-8; give such values as value_base64")
	}
	var doc struct {
		v1.Record
		ValueBase64 *[]byte `json:"value_base64"` // tells an empty value from none
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return Record{}, jsonError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("more than one JSON object on the line")
	}
	r := Record{Key: doc.Key, Expires: doc.Expires}
	switch {
	case doc.Value != nil && doc.ValueBase64 != nil:
		return Record{}, errors.New("both value and value_base64")
	case doc.Value != nil:
		r.Value = []byte(*doc.Value)
	case doc.ValueBase64 != nil:
		r.Value = *doc.ValueBase64
	default:
		return Record{}, errors.New("neither value nor value_base64")
	}
	return r, nil
}

func jsonError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON object has no end")
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q cannot be a JSON %s", strings.TrimPrefix(e.Field, "Record."), e.Value)
	}
	return fmt.Errorf("not the JSON object of a record: %w", err)
}
