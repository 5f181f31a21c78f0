package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

var header = Header{Network: "net", Peer: "peer", Taken: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Program: "test"}

// contents is what a backup holds.
type contents struct {
	files   map[string]string
	records []string
	ledger  []string // name, content, ...
}

func write(t testing.TB, c contents) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files() {
		if content, ok := c.files[f.name]; ok {
			if err := w.File(f.name, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range c.records {
		if err := w.Record([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(c.ledger); i += 2 {
		if err := w.Ledger(c.ledger[i], int64(len(c.ledger[i+1])), strings.NewReader(c.ledger[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(r io.Reader) (c contents, m Manifest, err error) {
	c.files = map[string]string{}
	m, err = Read(r, Taker{
		Header: func(Header) error { return nil },
		File: func(name string, content []byte) error {
			c.files[name] = string(content)
			return nil
		},
		Records: func(envelopes [][]byte) error {
			for _, e := range envelopes {
				c.records = append(c.records, string(e))
			}
			return nil
		},
		Ledger: func(name string, size int64, content io.Reader) error {
			data, err := io.ReadAll(content)
			if err == nil && int64(len(data)) != size {
				err = fmt.Errorf("%s has %d bytes, not %d", name, len(data), size)
			}
			c.ledger = append(c.ledger, name, string(data))
			return err
		},
	})
	return c, m, err
}

func sample(records int) contents {
	c := contents{files: map[string]string{NetworkFile: `{"name":"net"}`, PeersFile: "[]", IdentityFile: "sealed", KeysFile: "sealed, too"}}
	for i := range records {
		c.records = append(c.records, strings.Repeat(string(rune('a'+i%26)), 1+i*7919%100_000))
	}
	return c
}

// small is what can be damaged at every byte.
// someID is the id of a ledger.
const someID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func small() contents {
	c := sample(0)
	c.records = []string{"one", "two", "and three"}
	c.ledger = []string{"chain/000001.log", "blocks", "state/MANIFEST-000001", "", "wal/wal.000", "votes", PredecessorsName + someID + "/chain/000001.log", "older blocks"}
	return c
}

func TestRoundTrip(t *testing.T) {
	for name, c := range map[string]contents{
		"all": sample(300), "no records": sample(0), "one": sample(1), "largest record": {files: sample(0).files, records: []string{strings.Repeat("x", MaxRecord)}},
		"network only": {files: map[string]string{NetworkFile: "{}"}},
		"ledger":       small(), "ledger without records": {files: sample(0).files, ledger: []string{"chain/000001.sst", strings.Repeat("x", 1<<20)}},
	} {
		data := write(t, c)
		got, m, err := read(bytes.NewReader(data))
		if err != nil || fmt.Sprint(got.files) != fmt.Sprint(c.files) || fmt.Sprint(got.records) != fmt.Sprint(c.records) || fmt.Sprint(got.ledger) != fmt.Sprint(c.ledger) {
			t.Errorf("%s: %d files, %d records, %v", name, len(got.files), len(got.records), err)
		}
		if m.Records != int64(len(c.records)) || m.Peer != "peer" || m.Network != "net" || !m.Taken.Equal(header.Taken) || m.HasIdentity() != (c.files[IdentityFile] != "") || m.HasKeys() != (c.files[KeysFile] != "") || m.LedgerFiles != int64(len(c.ledger)/2) {
			t.Errorf("%s: manifest %+v", name, m)
		}
		if !bytes.Equal(data, write(t, c)) {
			t.Errorf("%s: a second backup differs", name)
		}
	}
}

// TestEveryCutIsNoticed reads every beginning of a backup up to its manifest's end.
func TestEveryCutIsNoticed(t *testing.T) {
	data := write(t, small())
	end := bytes.LastIndexByte(data, '}') + 1 // of the manifest; padding follows
	for cut := range end {
		if _, _, err := read(bytes.NewReader(data[:cut])); fault.KindOf(err) != fault.Invalid {
			t.Fatalf("cut at byte %d of %d: %v", cut, len(data), err)
		}
	}
}

// TestEveryFlippedBitIsNoticed damages each byte of what a backup holds.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	c := small()
	data := write(t, c)
	want := fmt.Sprint(c)
	for i := range data {
		data[i] ^= 0x10
		got, m, err := read(bytes.NewReader(data))
		// What remains are bytes that carry nothing: padding, and what tar says of owners and the program's name.
		if err == nil && (fmt.Sprint(got) != want || m.Network != "net" || m.Peer != "peer") {
			t.Fatalf("byte %d changed: %+v", i, m)
		}
		data[i] ^= 0x10
	}
}

func TestRefusals(t *testing.T) {
	archive := func(entries ...string) []byte { // name, content, ...
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for i := 0; i < len(entries); i += 2 {
			if err := w.WriteHeader(&tar.Header{Name: entries[i], Size: int64(len(entries[i+1])), Mode: 0o600}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, entries[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	const head = `{"format":1,"network":"net","peer":"peer"}`
	for want, data := range map[string][]byte{
		"no backup of a node":                             nil,
		"this is no backup":                               []byte(strings.Repeat("not a backup ", 200)),
		"is no backup of a":                               archive("README", "hello"),
		"format 4, of a newer program":                    archive(headerName, `{"format":4}`),
		"format 0":                                        archive(headerName, `{}`),
		"damaged: header.json":                            archive(headerName, `{`),
		"it was cut off":                                  archive(headerName, head, NetworkFile, "{}"),
		`"records/00000001" has no place`:                 archive(headerName, head, recordsName+"00000001", "\x00\x00\x00\x01x"),
		`"records/00000002" has no place`:                 archive(headerName, head, NetworkFile, "{}", recordsName+"00000002", "\x00\x00\x00\x01x"),
		`"../../etc/passwd" has no place`:                 archive(headerName, head, NetworkFile, "{}", "../../etc/passwd", "x"),
		`"peers.json" has no place`:                       archive(headerName, head, PeersFile, "[]"),
		`"network.json" has no place`:                     archive(headerName, head, NetworkFile, "{}", NetworkFile, "{}"),
		"record 1 has a length of 4294967295":             archive(headerName, head, NetworkFile, "{}", recordsName+"00000001", "\xff\xff\xff\xffx"),
		"record 1 has a length of 0":                      archive(headerName, head, NetworkFile, "{}", recordsName+"00000001", "\x00\x00\x00\x00"),
		"it ends in the length":                           archive(headerName, head, NetworkFile, "{}", recordsName+"00000001", "\x00\x00\x00\x01x\x00"),
		"it is empty":                                     archive(headerName, head, NetworkFile, "{}", recordsName+"00000001", ""),
		"at most 524288 are allowed":                      archive(headerName, head, NetworkFile, strings.Repeat(" ", maxNetwork+1)),
		`"ledger/chain/../x" has no place`:                archive(headerName, head, NetworkFile, "{}", "ledger/chain/../x", "x"),
		`"ledger/x/y" has no place`:                       archive(headerName, head, NetworkFile, "{}", "ledger/x/y", "x"),
		`"ledger/chain/.x" has no place`:                  archive(headerName, head, NetworkFile, "{}", "ledger/chain/.x", "x"),
		`"ledger/chain/b" has no place`:                   archive(headerName, head, NetworkFile, "{}", "ledger/chain/b", "x", "ledger/chain/b", "x"),
		`predecessors/` + someID[1:] + `/chain/x" has no`: archive(headerName, head, NetworkFile, "{}", PredecessorsName+someID[1:]+"/chain/x", "x"),
		`predecessors/../chain/x" has no`:                 archive(headerName, head, NetworkFile, "{}", PredecessorsName+"../chain/x", "x"),
		`predecessors/` + someID + `/x" has`:              archive(headerName, head, NetworkFile, "{}", PredecessorsName+someID+"/x", "x"),
		`"ledger/chain/b" has no`:                         archive(headerName, head, NetworkFile, "{}", PredecessorsName+someID+"/chain/x", "x", "ledger/chain/b", "x"),
		`"ledger/chain/c" has no place`:                   archive(headerName, head, "ledger/chain/c", "x"),
		`"records/00000003" has no place`:                 archive(headerName, head, NetworkFile, "{}", "ledger/chain/b", "x", recordsName+"00000003", "\x00\x00\x00\x01x"),
		"files are missing":                               archive(headerName, head, NetworkFile, "{}", manifestName, head),
	} {
		if _, _, err := read(bytes.NewReader(data)); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
	if _, _, err := read(iotest.ErrReader(errors.New("a bad disk"))); err == nil || fault.KindOf(err) == fault.Invalid || !strings.Contains(err.Error(), "a bad disk") {
		t.Errorf("a disk that can't be read: %v", err)
	}
	w, err := NewWriter(io.Discard, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{w.Record(nil), w.Record(make([]byte, MaxRecord+1)), w.File("other", nil), w.File(NetworkFile, make([]byte, maxNetwork+1)),
		w.Ledger("chain/../x", 0, strings.NewReader("")), w.Ledger("chain/x", 2, strings.NewReader("x")), w.Ledger("chain/x", maxLedgerFile+1, strings.NewReader("")), w.Record([]byte("after the ledger"))} {
		if err == nil {
			t.Error("it was written")
		}
	}
}

func TestSeal(t *testing.T) {
	sealed, err := Seal([]byte("the key"), "correct horse", 2)
	if err != nil || bytes.Contains(sealed, []byte("the key")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	if got, err := Unseal(sealed, "correct horse"); err != nil || string(got) != "the key" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Unseal(sealed, "battery staple"); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("another passphrase: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := Unseal(sealed, "correct horse"); err == nil {
		t.Error("damage is not noticed")
	}
}

// TestFormat1 reads a backup of the first format, as programs before the ledger's backups wrote it.
func TestFormat1(t *testing.T) {
	data, err := os.ReadFile("testdata/format1.tar")
	if err != nil {
		t.Fatal(err)
	}
	c, m, err := read(bytes.NewReader(data))
	if err != nil || m.Format != 1 || fmt.Sprint(c.records) != "[one two and three]" || c.files[IdentityFile] != "sealed" || m.HasKeys() || len(c.ledger) > 0 {
		t.Errorf("%+v, %+v, %v", c, m, err)
	}
}

// TestFormat2 reads a backup of the second format, as programs before backups of predecessors wrote it.
func TestFormat2(t *testing.T) {
	data, err := os.ReadFile("testdata/format2.tar")
	if err != nil {
		t.Fatal(err)
	}
	c, m, err := read(bytes.NewReader(data))
	if err != nil || m.Format != 2 || fmt.Sprint(c.records) != "[one two and three]" || !m.HasKeys() || m.LedgerFiles != 3 || fmt.Sprint(c.ledger) != "[chain/000001.log blocks state/MANIFEST-000001  wal/wal.000 votes]" {
		t.Errorf("%+v, %+v, %v", c, m, err)
	}
}

func TestKeys(t *testing.T) {
	k := &Keys{Validator: &Validator{Key: []byte("key"), State: []byte("state"), Stopped: true}, Accounts: map[string][]byte{"ann.key": []byte("a"), "book.json": nil}}
	data, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseKeys(data)
	if err != nil || string(got.Validator.Key) != "key" || string(got.Validator.State) != "state" || !got.Validator.Stopped || len(got.Accounts) != 2 || string(got.Accounts["ann.key"]) != "a" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{
		"", "{}", `{"format":2}`, `{"format":1}{}`, `{"format":1,"other":1}`, `{"format":1,"accounts":{"../x":""}}`, `{"format":1,"accounts":{"":""}}`, `{"format":1,"accounts":{".x":""}}`,
		`{"format":1,"accounts":{"a/b":""}}`, `{"format":1,"accounts":{"x":"` + strings.Repeat("AAAA", maxAccountFile/3+1) + `"}}`,
	} {
		if _, err := ParseKeys([]byte(text)); err == nil {
			t.Errorf("read %.80s", text)
		}
	}
}

func FuzzKeys(f *testing.F) {
	data, err := (&Keys{Validator: &Validator{Key: []byte("key")}, Accounts: map[string][]byte{"ann.key": []byte("a")}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseKeys(data)
		if err != nil {
			return
		}
		again, err := k.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseKeys(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

// FuzzRead checks that what is accepted is within its bounds and is what is written again.
func FuzzRead(f *testing.F) {
	f.Add(write(f, small()))
	f.Add(write(f, contents{files: map[string]string{NetworkFile: "{}"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, m, err := read(bytes.NewReader(data))
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Invalid {
				t.Fatalf("kind %v: %v", kind, err)
			}
			return
		}
		var bytesRead int64
		for _, r := range c.records {
			if len(r) == 0 || len(r) > MaxRecord {
				t.Fatalf("a record of %d bytes", len(r))
			}
			bytesRead += int64(len(r))
		}
		if m.LedgerFiles != int64(len(c.ledger)/2) {
			t.Fatalf("%d files of the ledger, want %d", len(c.ledger)/2, m.LedgerFiles)
		}
		if int64(len(c.records)) != m.Records || bytesRead != m.Bytes || len(c.files) != len(m.Files)-1 {
			t.Fatalf("%+v for %d records of %d bytes, %d files", m, len(c.records), bytesRead, len(c.files))
		}
		again, _, err := read(bytes.NewReader(write(t, c)))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
			t.Fatalf("read, written and read again: %v", err)
		}
	})
}
