package payments

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// transaction returns an encoded transaction, another one for each salt.
func transaction(t testing.TB, salt uint64) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	set := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
	from := set.ID()
	transfer := &ledger.Transfer{Asset: ledger.AssetID{Code: "EUR", Issuer: from}, From: from, Amount: ledger.NewAmount(1)}
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: 1, Salt: salt, Operations: []ledger.Operation{transfer}}}
	if err := tx.Sign(ledger.Hash{}, from, &set, key); err != nil {
		t.Fatal(err)
	}
	data, err := ledger.EncodeTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t *testing.T, path string) (*Journal, map[int]Entry) {
	t.Helper()
	j, entries, err := OpenJournal(path, Heading{Network: ledger.Hash{1}})
	if err != nil {
		t.Fatal(err)
	}
	return j, entries
}

// Whatever Send returned for is there afterwards, wherever the file is cut off behind it.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, entries := open(t, path)
	if len(entries) != 0 {
		t.Errorf("%v", entries)
	}
	var senders sync.WaitGroup
	for line := range 100 {
		senders.Go(func() {
			if err := j.Send(Sent{Line: line, Height: int64(line), Transaction: transaction(t, uint64(line))}); err != nil {
				t.Error(err)
			}
			switch line % 3 {
			case 1:
				j.Settle(Settled{Line: line, ID: "x", Height: 7})
			case 2:
				j.Settle(Settled{Line: line, ID: "x", Failure: "no"})
			}
		})
	}
	senders.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, entries = open(t, path)
	for line := range 100 {
		e, ok := entries[line]
		if !ok || e.Height != int64(line) || (e.Settled == nil) != (line%3 == 0) || line%3 != 1 && !bytes.Equal(e.Transaction, transaction(t, uint64(line))) {
			t.Errorf("line %d: %+v", line, e)
		}
	}
	if err := j.Send(Sent{Line: 2, Transaction: transaction(t, 1000)}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	last := lines[len(lines)-2]
	begin := len(whole) - len(last)
	for _, cut := range []int{begin, begin + 1, begin + len(last)/2, len(whole) - 2, len(whole) - 1, len(whole)} {
		for _, zeros := range []int{0, 3} { // of which the size was on the disk, and the content was not
			data := append(bytes.Clone(whole[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			j, entries := open(t, path)
			if e := entries[2]; (e.Settled == nil) != (cut == len(whole)) || len(entries) != 100 {
				t.Fatalf("cut at %d of %d: %+v", cut, len(whole), e)
			}
			if err := errors.Join(j.Send(Sent{Line: 3, Height: 9, Transaction: transaction(t, 3)}), j.Close()); err != nil {
				t.Fatal(err)
			}
			j, entries = open(t, path)
			if entries[3].Height != 9 {
				t.Fatalf("cut at %d: what was sent later is lost", cut)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestJournalOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	if _, _, err := OpenJournal(path, Heading{Network: ledger.Hash{1}}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("twice: %v", err)
	}
	if err := errors.Join(j.Send(Sent{Line: 2, Transaction: transaction(t, 0)}), j.Send(Sent{Line: 3, Transaction: transaction(t, 0)}), j.Close()); err != nil {
		t.Fatal(err)
	}
	for _, h := range []Heading{{Network: ledger.Hash{2}}, {Network: ledger.Hash{1}, List: ledger.Hash{1}}, {Network: ledger.Hash{1}, Meaning: ledger.Hash{1}}} {
		if _, _, err := OpenJournal(path, h); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%+v: %v", h, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"the first line":    "x" + string(data),
		"a line in between": strings.Replace(string(data), `{"line":2`, `{"lin":2`, 1),
		"a transaction":     strings.Replace(string(data), `"transaction":"`, `"transaction":"AAAA`, 1),
		"another version":   strings.Replace(string(data), `"version":1`, `"version":2`, 1),
		"settled only":      string(data) + `{"settled":[{"line":9,"id":"x"}]}` + "\n{}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := OpenJournal(path, Heading{Network: ledger.Hash{1}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"network":"` + ledger.Hash{}.String() + `","list_sha256":"` + ledger.Hash{}.String() + `","meaning_sha256":"` + ledger.Hash{}.String() + `"}` + "\n"))
	sent, err := json.Marshal(step{Sent: []Sent{{Line: 2, Height: 3, Transaction: transaction(f, 1)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte(`{"version":1}`+"\n"), sent...), "\n"+`{"settled":[{"line":2,"id":"x","height":4}]}`+"\n"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, entries, whole, err := readJournal(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, again, n, err := readJournal(bytes.NewReader(data[:whole]))
		if err != nil || n != whole || len(again) != len(entries) {
			t.Errorf("the %d bytes that are whole read otherwise: %d, %v", whole, n, err)
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("to,amount,asset,memo\nann,1,EUR,x\n"))
	f.Add([]byte("\xef\xbb\xbfamount,to\r\n1.5,\"a\"\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, bad, err := ParseList(data)
		if err != nil && (fault.KindOf(err) != fault.Invalid || len(rows)+len(bad) > 0) {
			t.Errorf("%v", err)
		}
		seen := make(map[int]bool)
		for _, row := range rows {
			if seen[row.Line] || row.Line < 2 {
				t.Errorf("line %d again", row.Line)
			}
			seen[row.Line] = true
			if err := row.check(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestListLines(t *testing.T) {
	rows, bad, err := ParseList([]byte("to,amount,memo\na,1,\"two\nlines\"\n\nb,2,\nc,x,\nd,4,,\ne,5,e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(rows); got != "[{2 a 1  two\nlines } {5 b 2   } {8 e 5  e }]" {
		t.Errorf("%q", got)
	}
	if len(bad) != 2 || bad[0].Line != 6 || bad[1].Line != 7 {
		t.Errorf("%v", bad)
	}
}
