package disk

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func readFile(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, fs vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	syncDir(t, fs, fs.PathDir(path))
}

// syncDir lets a crash know what was done to the store's files.
func syncDir(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	dir, err := fs.OpenDir(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		t.Fatal(err)
	}
}

// files returns the paths of a store's files whose names contain part.
func files(t *testing.T, fs vfs.FS, part string) (paths []string) {
	t.Helper()
	names, err := fs.List("records")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.Contains(name, part) {
			paths = append(paths, fs.PathJoin("records", name))
		}
	}
	return paths
}

func edit(part string, change func(data []byte, rng *rand.Rand) []byte) func(*testing.T, vfs.FS, *rand.Rand) {
	return func(t *testing.T, fs vfs.FS, rng *rand.Rand) {
		paths := slices.DeleteFunc(files(t, fs, part), func(path string) bool { return len(readFile(t, fs, path)) == 0 })
		path := paths[rng.IntN(len(paths))]
		writeFile(t, fs, path, change(readFile(t, fs, path), rng))
	}
}

func remove(part string) func(*testing.T, vfs.FS, *rand.Rand) {
	return func(t *testing.T, fs vfs.FS, rng *rand.Rand) {
		paths := files(t, fs, part)
		if err := fs.Remove(paths[rng.IntN(len(paths))]); err != nil {
			t.Fatal(err)
		}
		syncDir(t, fs, "records")
	}
}

func flip(data []byte, rng *rand.Rand) []byte {
	data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
	return data
}

func flipTail(data []byte, rng *rand.Rand) []byte {
	data[len(data)-1-rng.IntN(min(len(data), 1000))] ^= 1 << rng.IntN(8)
	return data
}

func cut(data []byte, rng *rand.Rand) []byte { return data[:rng.IntN(len(data))] }

const damagedRecords = 240

// storeToDamage makes a store of several tables and a log.
func storeToDamage(t *testing.T, rng *rand.Rand) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	d := mustOpen(t, Config{FS: fs})
	var updates []Update
	for i := range damagedRecords {
		hash, head, envelope := record(fmt.Sprint("key", i), uint64(1+i))
		envelope = append(envelope, make([]byte, rng.IntN(400))...)
		updates = append(updates, Update{hash, head, envelope})
	}
	for chunk := range slices.Chunk(updates, 24) {
		if _, err := d.PutMany(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(3) == 0 {
			if err := d.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(10) == 0 {
			if err := d.db.Compact(t.Context(), []byte{0}, keysEnd, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.db.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 50 { // in the log
		mustPut(t, d, fmt.Sprint("key", i), uint64(damagedRecords+i))
	}
	closeDisk(t, d)
	return fs
}

// TestDamage damages each kind of file in turn. What can be read is served, nothing else is, and a copy from elsewhere makes it whole.
func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*testing.T, vfs.FS, *rand.Rand)
	}{
		{"a flipped bit in a table", edit(tableSuffix, flip)},
		{"a flipped bit in the end of a table, where its index is", edit(tableSuffix, flipTail)},
		{"a table cut off", edit(tableSuffix, cut)},
		{"a table gone", remove(tableSuffix)},
		{"a flipped bit in the manifest", edit("MANIFEST-0", flip)},
		{"the manifest cut off", edit("MANIFEST-0", cut)},
		{"the manifest gone", remove("MANIFEST-0")},
		{"the manifest's marker gone", remove("marker.manifest")},
		{"the format's marker gone", remove("marker.format")},
		{"the options damaged", edit("OPTIONS", cut)},
		{"a flipped bit in a log", edit(logSuffix, flip)},
		{"a log cut off", edit(logSuffix, cut)},
		{"a log gone", remove(logSuffix)},
		{"the label damaged", edit(labelFile, flip)},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 0))
				fs := storeToDamage(t, rng)
				c.damage(t, fs, rng)
				checkHeals(t, fs)
			})
		})
	}
}

// TestCrashWhileDamageIsMended crashes at any moment while a damaged store is opened: what survived the damage survives that, too, or is known to be lost.
func TestCrashWhileDamageIsMended(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, vfs.FS, *rand.Rand){
		"mended":        edit(tableSuffix, flip),
		"widely mended": edit(tableSuffix, flipTail), // where all that a table has is cut out
		"salvaged":      remove("MANIFEST-0"),
	} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			for range 2 {
				synctest.Test(t, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(seed, 0))
					fs := storeToDamage(t, rng)
					damage(t, fs, rng)
					seed++
					var mu sync.Mutex // guards what follows
					left, clone := rng.IntN(60), fs
					crashing := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
						mu.Lock()
						defer mu.Unlock()
						if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
							if left--; left == 0 {
								clone = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
							}
						}
						return nil
					}))
					closeDisk(t, mustOpen(t, Config{FS: crashing}))
					mu.Lock()
					defer mu.Unlock()
					checkHeals(t, clone)
				})
			}
		})
	}
}

// checkHeals opens a damaged store and brings back what is missing.
func checkHeals(t *testing.T, fs vfs.FS) {
	t.Helper()
	d := mustOpen(t, Config{FS: fs})
	defer func() { closeDisk(t, d) }()
	salvaged := d.Salvaged() != ""
	readAll(t, d)
	synctest.Wait() // for the keeper
	found := checkConsistent(t, d)
	t.Logf("%d of %d records survived; salvaged: %v", len(found), damagedRecords, salvaged)
	repair(t, d, found)
	if err := d.db.Compact(t.Context(), []byte{0}, keysEnd, true); err != nil {
		t.Fatal("compact after repair:", err)
	}
	closeDisk(t, d)
	d = mustOpen(t, Config{FS: fs})
	if d.Damaged(0) || d.Salvaged() != "" {
		t.Error("damaged still")
	}
	if got := len(checkConsistent(t, d)); got != damagedRecords {
		t.Errorf("%d records after repair", got)
	}
}

// repair brings back what is not among those found.
func repair(t *testing.T, d *Disk, found map[string]Head) {
	t.Helper()
	var missing []Update
	for i := range damagedRecords {
		hash, want, envelope := record(fmt.Sprint("key", i), newestVersion(i))
		if head, ok := found[want.Key]; ok && head.Rank == want.Rank {
			continue
		}
		if !d.Damaged(ShardOf(hash)) {
			t.Fatalf("%q is missing, and its shard is not said to be damaged", want.Key)
		}
		missing = append(missing, Update{hash, want, envelope})
	}
	if _, err := d.PutMany(t.Context(), missing); err != nil {
		t.Fatal(err)
	}
	all := make([]Shard, Shards)
	for s := range all {
		all[s] = Shard(s)
	}
	if err := d.SetWhole(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
}

func newestVersion(i int) uint64 {
	if i < 50 {
		return uint64(damagedRecords + i)
	}
	return uint64(1 + i)
}

// readAll reads every record, and all else that there is once. What is read must be right.
func readAll(t *testing.T, d *Disk) {
	t.Helper()
	for _, err := range []error{
		d.Export(t.Context(), func([]byte) error { return nil }),
		third(d.Changes(0, math.MaxInt, nil)),
		third(d.List("", "", math.MaxInt, math.MaxInt)),
	} {
		if err != nil && !isDamage(err) {
			t.Fatal(err)
		}
	}
	for i := range damagedRecords {
		hash, want, _ := record(fmt.Sprint("key", i), newestVersion(i))
		head, found, err := d.Head(hash)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if err == nil && !found {
			t.Fatalf("%q is said not to be there", want.Key)
		}
		envelope, err := d.Envelope(hash)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if found && head.Key != want.Key || envelope != nil && !strings.HasPrefix(string(envelope), want.Key+" at ") {
			t.Fatalf("%q was read as %+v, %q", want.Key, head, envelope)
		}
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }
