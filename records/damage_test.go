package records_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/records"
)

// spoilLog flips bytes all over a closed store's largest log.
func (s *simulation) spoilLog(fs vfs.FS) {
	s.t.Helper()
	names, err := fs.List("records")
	if err != nil {
		s.t.Fatal(err)
	}
	var largest []byte
	var path string
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		f, err := fs.Open(fs.PathJoin("records", name))
		if err != nil {
			s.t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			s.t.Fatal(err)
		}
		if len(data) > len(largest) {
			largest, path = data, fs.PathJoin("records", name)
		}
	}
	for i := len(largest) / 4; i < len(largest); i += 1 + s.rng.IntN(2000) {
		largest[i] ^= 1 << s.rng.IntN(8)
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = f.Write(largest)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// TestDamagedStoreIsMadeWholeByOthers: what it has lost is read from others meanwhile, and is back soon.
func TestDamagedStoreIsMadeWholeByOthers(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		var keys []string
		for i := range 150 {
			keys = append(keys, fmt.Sprint("key", i))
			put(t, s.nodes[i%5], keys[i], "value of "+keys[i], records.All)
		}
		damaged := s.nodes[4]
		if err := damaged.Close(); err != nil {
			t.Fatal(err)
		}
		s.spoilLog(damaged.fs)
		s.open(damaged)
		lost := slices.DeleteFunc(slices.Clone(keys), damaged.Has)
		if len(lost) == 0 || len(lost) == len(keys) {
			t.Fatalf("%d of %d records are lost: the test shows nothing", len(lost), len(keys))
		}
		for _, key := range keys[:50] { // at once: what it can't read is no "not found", whoever asks
			for _, reader := range []*node{damaged, s.nodes[0]} {
				within(t, time.Second, "get", func() { wantValue(t, reader, key, "value of "+key) })
			}
		}
		start := time.Now()
		for slices.ContainsFunc(lost, func(key string) bool { return !damaged.Has(key) }) {
			if time.Since(start) > 30*time.Second {
				t.Fatal("records are still missing after 30 s")
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("%d of %d records were lost, and back after %v", len(lost), len(keys), time.Since(start))
		settle()
		if st := damaged.Stats(); st.ShardsHeld == 0 || st.ShardsSynced != st.ShardsHeld {
			t.Errorf("in sync in %d of %d shards", st.ShardsSynced, st.ShardsHeld)
		}
	})
}

// TestMessagesOfProvide counts what it takes to provide a key in a network at rest.
func TestMessagesOfProvide(t *testing.T) {
	simulate(t, 12, func(t *testing.T, s *simulation) {
		holders, others := s.holders("file")
		for _, n := range s.nodes {
			n.sent.reset()
		}
		w, err := others[0].Provide(t.Context(), "file")
		if err != nil || w.Wanted != len(holders) {
			t.Fatalf("provide: %+v, %v", w, err)
		}
		time.Sleep(time.Second)
		if n := s.count(records.OpProvide); n != len(holders) {
			t.Errorf("%d messages to %d holders", n, len(holders))
		}
		others[0].sent.mu.Lock()
		defer others[0].sent.mu.Unlock()
		for op, n := range others[0].sent.ops {
			if op != records.OpProvide && op != opCompare {
				t.Errorf("%d messages of op %d besides", n, op)
			}
		}
	})
}
