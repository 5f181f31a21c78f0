package bulk

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/folkmoot/folkmoot/fault"
)

// readAll returns the lines from p on, and where each ends.
func readAll(t *testing.T, r io.Reader, p Position) (texts []string, ends []Position) {
	t.Helper()
	l := newLines(r)
	if err := l.skipTo(p); err != nil {
		t.Fatalf("skip to %+v: %v", p, err)
	}
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			return texts, ends
		}
		if err != nil && !errors.Is(err, errLong) {
			t.Fatal(err)
		}
		texts, ends = append(texts, string(line)), append(ends, l.at)
	}
}

// FuzzLines checks that lines are the same however the input arrives, and that reading can go on behind every one.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\t1\r\nb\t2"))
	f.Add([]byte("\xef\xbb\xbf\n\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		texts, ends := readAll(t, bytes.NewReader(data), Position{})
		again, _ := readAll(t, iotest.OneByteReader(bytes.NewReader(data)), Position{})
		if len(texts) != len(again) {
			t.Fatalf("%d lines, byte by byte %d", len(texts), len(again))
		}
		if len(ends) > 0 && ends[len(ends)-1].Offset != int64(len(data)) {
			t.Fatalf("the last line ends at %d of %d", ends[len(ends)-1].Offset, len(data))
		}
		for i, end := range ends {
			if texts[i] != again[i] {
				t.Fatalf("line %d: %q, byte by byte %q", i+1, texts[i], again[i])
			}
			if rest, _ := readAll(t, bytes.NewReader(data), end); len(rest) != len(texts)-i-1 {
				t.Fatalf("behind line %d: %d lines, want %d", i+1, len(rest), len(texts)-i-1)
			}
		}
	})
}

// FuzzParse checks that a line is a record or an Invalid error in every format.
func FuzzParse(f *testing.F) {
	f.Add([]byte("key\tvalue"))
	f.Add([]byte(`{"key":"k","value":"v"}`))
	f.Add([]byte(`{"key":"k","value_base64":"AAEC","expires":"2030-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, format := range []Format{JSONLines, TSV} {
			r, err := parse(format, line)
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v is of kind %s", format, err, fault.KindOf(err))
			}
			if err == nil && len(r.Key)+len(r.Value) > 3*len(line) {
				t.Errorf("%s: %d bytes out of %d", format, len(r.Key)+len(r.Value), len(line))
			}
			if err == nil && format == TSV && r.Key+"\t"+string(r.Value) != string(line) {
				t.Errorf("%q became %q, %q", line, r.Key, r.Value)
			}
		}
	})
}

// FuzzState checks that a state that is accepted is written and read back the same.
func FuzzState(f *testing.F) {
	s := State{Network: "n", Format: TSV, Progress: Progress{At: Position{Line: 3, Offset: 40, Sum: [32]byte{1}}, Records: 2, Bytes: 9, Skipped: 1}}
	seed, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%v is of kind %s", err, fault.KindOf(err))
			}
			return
		}
		encoded, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeState(encoded); err != nil || again != s {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}

func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if _, err := LoadState(path); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("without a file: %v", err)
	}
	want := State{Network: "n", Format: JSONLines, Progress: Progress{At: Position{Line: 1, Offset: 2, Sum: [32]byte{3}}, Records: 4, Bytes: 5, Skipped: 6}}
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadState(path); err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
}
