package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
)

func rank(n uint64) (r Rank) {
	binary.BigEndian.PutUint64(r[:], n)
	return r
}

func record(key string, version uint64) (Hash, Head, []byte) {
	value := fmt.Appendf(nil, "%s at %d", key, version)
	return sha256.Sum256([]byte(key)), Head{Key: key, Rank: rank(version), Size: uint32(len(value))}, value
}

func mustOpen(t *testing.T, cfg Config) *Disk {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = "records"
	}
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustPut(t *testing.T, d *Disk, key string, version uint64) Head {
	t.Helper()
	hash, head, envelope := record(key, version)
	winner, err := d.Put(t.Context(), hash, head, envelope)
	if err != nil {
		t.Fatal(err)
	}
	return winner
}

func checkRecord(t *testing.T, d *Disk, key string, version uint64) {
	t.Helper()
	hash, want, envelope := record(key, version)
	head, found, err := d.Head(hash)
	want.Stored, want.Sequence = head.Stored, head.Sequence
	if err != nil || !found || head != want {
		t.Errorf("head of %q = %+v, %v, %v; want %+v", key, head, found, err, want)
	}
	if got, err := d.Envelope(hash); err != nil || string(got) != string(envelope) {
		t.Errorf("envelope of %q = %q, %v; want %q", key, got, err, envelope)
	}
}

func closeDisk(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewestWinsWhateverTheOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	d := mustOpen(t, Config{FS: vfs.NewMem()})
	defer closeDisk(t, d)
	const keys, versions = 20, 30
	var wg sync.WaitGroup
	for range 4 { // concurrent writers share groups and meet in them
		order := rng.Perm(keys * versions)
		wg.Go(func() {
			for _, i := range order {
				mustPut(t, d, fmt.Sprintf("key %d", i%keys), uint64(1+i/keys))
			}
		})
	}
	wg.Wait()
	for i := range keys {
		checkRecord(t, d, fmt.Sprintf("key %d", i), versions)
	}
	if got := d.Count(); got != keys {
		t.Errorf("count = %d, want %d", got, keys)
	}
	if winner := mustPut(t, d, "key 3", 7); winner.Rank != rank(versions) {
		t.Errorf("an older version was told that %x won", winner.Rank)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	fs := vfs.NewMem()
	d := mustOpen(t, Config{FS: fs})
	for i := range 50 {
		mustPut(t, d, fmt.Sprint("k", i), 1)
	}
	hash, head, _ := record("k7", 2)
	head.Deleted, head.Size = true, 0
	head, err := d.Put(t.Context(), hash, head, []byte("tombstone"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.SetClock(t.Context(), 77), d.SetProvided(t.Context(), "b"), d.SetProvided(t.Context(), "a")); err != nil {
		t.Fatal(err)
	}
	closeDisk(t, d)

	d = mustOpen(t, Config{FS: fs})
	defer closeDisk(t, d)
	checkRecord(t, d, "k49", 1)
	if got := d.Count(); got != 49 {
		t.Errorf("count = %d, want 49: a deletion is not a record", got)
	}
	if got, found, err := d.Head(hash); got != head || !found || err != nil {
		t.Errorf("deletion = %+v, %v, %v", got, found, err)
	}
	if clock, err := d.Clock(); clock != 77 || err != nil {
		t.Errorf("clock = %d, %v", clock, err)
	}
	if keys, err := d.Provided("", 10); !slices.Equal(keys, []string{"a", "b"}) || err != nil {
		t.Errorf("provided = %q, %v", keys, err)
	}
	if keys, err := d.Provided("a", 10); !slices.Equal(keys, []string{"b"}) || err != nil {
		t.Errorf("provided after a = %q, %v", keys, err)
	}
	if d.Bytes() <= 0 {
		t.Errorf("bytes = %d", d.Bytes())
	}
}

func TestList(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem()})
	defer closeDisk(t, d)
	for _, key := range []string{"a", "a/1", "a/2", "a/3", "b", "ä"} {
		mustPut(t, d, key, 1)
	}
	for _, c := range []struct {
		prefix, after string
		limit, bytes  int
		want          string
		more          bool
	}{
		{"", "", 10, 1000, "a a/1 a/2 a/3 b ä", false},
		{"a", "", 10, 1000, "a a/1 a/2 a/3", false},
		{"a/", "a/1", 10, 1000, "a/2 a/3", false},
		{"a/", "a/1", 1, 1000, "a/2", true},
		{"a/", "a/1", 2, 1000, "a/2 a/3", false},
		{"a/", "", 10, 6, "a/1 a/2", true},
		{"a/", "", 10, 1, "a/1", true},
		{"b", "a/2", 10, 1000, "b", false},
		{"a", "b", 10, 1000, "", false},
		{"zz", "", 10, 1000, "", false},
	} {
		heads, more, err := d.List(c.prefix, c.after, c.limit, c.bytes)
		var keys []string
		for _, h := range heads {
			keys = append(keys, h.Key)
		}
		if got := strings.Join(keys, " "); got != c.want || more != c.more || err != nil {
			t.Errorf("List(%q, %q, %d, %d) = %q, %v, %v; want %q, %v", c.prefix, c.after, c.limit, c.bytes, got, more, err, c.want, c.more)
		}
	}
}

func TestSweep(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem()})
	defer closeDisk(t, d)
	const n = 3*sweepChunk + 5
	for i := range n {
		hash, head, envelope := record(fmt.Sprint("old", i), 1)
		head.Expires = 100
		if _, err := d.Put(t.Context(), hash, head, envelope); err != nil {
			t.Fatal(err)
		}
	}
	mustPut(t, d, "for ever", 1)
	hash := sha256.Sum256([]byte("k"))
	for i := range 3 {
		p := Provider{Peer: sha256.Sum256([]byte{byte(i)}), Rank: rank(1), Expires: uint64(100 * i), Envelope: []byte("e")}
		if _, err := d.PutProvider(t.Context(), hash, p, 0); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := d.Sweep(t.Context(), 100, 0, nil); removed != 0 || err != nil {
		t.Errorf("sweep before the expiry removed %d, %v", removed, err)
	}
	if removed, err := d.Sweep(t.Context(), 101, 150, nil); removed != n+1 || err != nil {
		t.Errorf("sweep removed %d, %v; want %d", removed, err, n+1)
	}
	heads, _, err := d.List("", "", 10, 1000)
	if len(heads) != 1 || heads[0].Key != "for ever" || err != nil || d.Count() != 1 {
		t.Errorf("left %+v, %v; count %d", heads, err, d.Count())
	}
	if providers, err := d.Providers(hash); len(providers) != 1 || err != nil {
		t.Errorf("left %d providers, %v", len(providers), err)
	}
}

func TestProvidersBoundKeepsTheNearest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	hash := sha256.Sum256([]byte("popular"))
	peers := make([]Hash, MaxProviders+50)
	for i := range peers {
		peers[i] = sha256.Sum256(fmt.Append(nil, "peer", i))
	}
	want := slices.Clone(peers)
	slices.SortFunc(want, func(a, b Hash) int {
		da, db := distance(hash, a), distance(hash, b)
		return slices.Compare(da[:], db[:])
	})
	want = want[:MaxProviders]
	for range 2 {
		d := mustOpen(t, Config{FS: vfs.NewMem(), NoSync: true})
		rng.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		for _, p := range peers {
			if _, err := d.PutProvider(t.Context(), hash, Provider{Peer: p, Rank: rank(1), Expires: 10, Envelope: p[:]}, 1); err != nil {
				t.Fatal(err)
			}
		}
		got, err := d.Providers(hash)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(p Provider, h Hash) bool { return p.Peer == h && string(p.Envelope) == string(h[:]) }) {
			t.Error("kept others than the nearest")
		}
		if kept, err := d.PutProvider(t.Context(), hash, Provider{Peer: want[0], Rank: rank(0), Expires: 10, Envelope: []byte{1}}, 1); !kept || err != nil {
			t.Errorf("older record of a known provider: %v, %v", kept, err)
		}
		// All have expired: there is room again, and they go.
		far := sha256.Sum256([]byte("late"))
		if kept, err := d.PutProvider(t.Context(), hash, Provider{Peer: far, Rank: rank(2), Expires: 99, Envelope: []byte{1}}, 10); !kept || err != nil {
			t.Errorf("late provider: %v, %v", kept, err)
		}
		if got, err := d.Providers(hash); len(got) != 1 || got[0].Peer != far || err != nil {
			t.Errorf("%d providers left, %v", len(got), err)
		}
		closeDisk(t, d)
	}
}

func TestRecordWithoutEnvelopeIsMendedByTheSameVersion(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem()})
	defer closeDisk(t, d)
	mustPut(t, d, "key", 1)
	hash, _, _ := record("key", 1)
	if err := d.db.Delete(envelopeKey(hash), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, "key", 1)
	checkRecord(t, d, "key", 1)
	if d.Count() != 1 {
		t.Errorf("count = %d", d.Count())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir}); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open: %v", err)
	}
	closeDisk(t, d)
	if _, err := Open(Config{Dir: dir, Network: [32]byte{1}}); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "another network") {
		t.Errorf("other network: %v", err)
	}

	rewrite(t, dir, metaFormat, binary.BigEndian.AppendUint32(nil, formatVersion+1))
	if _, err := Open(Config{Dir: dir}); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("newer format: %v", err)
	}
}

// TestOpenRefusesThoughDamaged: what is not ours is not salvaged.
func TestOpenRefusesThoughDamaged(t *testing.T) {
	for name, l := range map[string]label{
		"newer program":   {format: formatVersion + 1},
		"another network": {format: formatVersion, network: [32]byte{1}},
	} {
		fs := vfs.NewMem()
		d := mustOpen(t, Config{FS: fs})
		mustPut(t, d, "key", 1)
		closeDisk(t, d)
		writeFile(t, fs, "records/"+labelFile, l.marshal())
		before, err := fs.List("records")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files(t, fs, "MANIFEST-0") {
			writeFile(t, fs, path, []byte("not a manifest"))
		}
		if _, err := Open(Config{Dir: "records", FS: fs}); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := fs.List("records"); len(after) != len(before) || err != nil {
			t.Errorf("%s: %q became %q, %v", name, before, after, err)
		}
	}
}

// rewrite replaces one of a store's own facts.
func rewrite(t *testing.T, dir, name string, value []byte) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebbleFormat, Logger: pebbleLogger{&Disk{logger: slog.New(slog.DiscardHandler)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Set(metaKey(name), value, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}
