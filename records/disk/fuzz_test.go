package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func FuzzHead(f *testing.F) {
	f.Add((&Head{Key: "key", Rank: rank(1), Expires: 5, Size: 7, Deleted: true}).append(nil))
	f.Add([]byte{headVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := unmarshalHead(data)
		if err != nil {
			return
		}
		if len(h.Key) == 0 || len(h.Key) > maxKey {
			t.Errorf("key of %d bytes", len(h.Key))
		}
		if again := h.append(nil); !bytes.Equal(again, data) || len(again) != h.size() {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzProvider(f *testing.F) {
	f.Add((&Provider{Rank: rank(1), Expires: 5, Envelope: []byte("e")}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := unmarshalProvider(data)
		if err != nil {
			return
		}
		if len(p.Envelope) == 0 {
			t.Error("no envelope")
		}
		if again := p.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzLabel(f *testing.F) {
	f.Add((&label{format: formatVersion, network: [32]byte{1}, sequence: 7}).marshal())
	f.Add((&label{format: 99}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := unmarshalLabel(data)
		if err != nil {
			return
		}
		if again := l.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
		data[len(data)/2] ^= 1
		if _, err := unmarshalLabel(data); err == nil {
			t.Error("a flipped bit was not seen")
		}
	})
}

func FuzzFacts(f *testing.F) {
	f.Add((&totals{1, 2, 3}).marshal())
	f.Add(new(damageMap).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := unmarshalTotals(data); err == nil && !bytes.Equal(n.marshal(), data) {
			t.Errorf("%x was read and written as %x", data, n.marshal())
		}
		var m damageMap
		if err := m.unmarshal(data); err == nil && !bytes.Equal(m.marshal(), data) {
			t.Errorf("%x was read and written as %x", data, m.marshal())
		}
		sequence, envelope, err := splitEnvelope(data)
		if err == nil && !bytes.Equal(append(binary.BigEndian.AppendUint64(nil, sequence), envelope...), data) {
			t.Errorf("%x was split into %d and %x", data, sequence, envelope)
		}
	})
}

// FuzzRawFiles reads arbitrary bytes as a log, as a write in one and as a table: entries are within bounds, and reading ends.
func FuzzRawFiles(f *testing.F) {
	var log, table []byte
	var batch []byte
	fs := vfs.NewMem()
	d, err := Open(Config{Dir: "records", FS: fs})
	if err != nil {
		f.Fatal(err)
	}
	hash, head, envelope := record("key", 1)
	if _, err := d.Put(f.Context(), hash, head, envelope); err != nil {
		f.Fatal(err)
	}
	tx := d.newTx()
	if _, err := tx.put(hash, Head{Key: "key", Rank: rank(2)}, envelope); err != nil {
		f.Fatal(err)
	}
	batch = bytes.Clone(tx.records.Repr())
	if err := errors.Join(tx.close(), d.db.Flush(), d.Close()); err != nil {
		f.Fatal(err)
	}
	names, err := fs.List("records")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data := readFile(f, fs, "records/"+name)
		switch {
		case strings.HasSuffix(name, tableSuffix):
			table = data
		case strings.HasSuffix(name, logSuffix):
			log = data
		}
	}
	f.Add(log)
	f.Add(table)
	f.Add(batch)
	f.Fuzz(func(t *testing.T, data []byte) {
		fs := vfs.NewMem()
		writeFile(t, fs, "file", data)
		visit := func(e *entry) error {
			if len(e.key)+len(e.value) > 1<<20+len(data) {
				t.Errorf("an entry of %d and %d bytes from %d", len(e.key), len(e.value), len(data))
			}
			return nil
		}
		if gaps, _ := readLog(fs, "file", "000004", visit); gaps > len(data)/logBlock+1 {
			t.Errorf("%d gaps in %d bytes", gaps, len(data))
		}
		if err := readBatch(data, visit); err != nil && !isDamage(err) {
			t.Error(err)
		}
		if _, err := readTable(fs, "file", visit); isSystem(err) {
			t.Error(err)
		}
	})
}
