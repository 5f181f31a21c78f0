// Package recordstest is the conformance suite of the record store: what its users rely on, whatever the size of the network.
package recordstest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// A Store is one peer's way to the record store.
type Store interface {
	Put(ctx context.Context, key string, value []byte, opts records.PutOptions) (records.Written, error)
	Delete(ctx context.Context, key string, opts records.PutOptions) (records.Written, error)
	Get(ctx context.Context, key string, opts records.GetOptions) (records.Record, error)
	List(ctx context.Context, opts records.ListOptions) (records.Page, error)
	Provide(ctx context.Context, key string) (records.Written, error)
	Providers(ctx context.Context, key string) ([]records.Provider, error)
	Stats() records.Stats
}

// A Network is a set of peers that know one another and are all well.
type Network struct {
	Stores []Store
	// IDs are the peers', in the order of Stores.
	IDs []peer.ID
	// Copies is how many copies the stores are configured for.
	Copies int
}

// Run runs the suite. with makes a network for one test and calls body with it; it may run body in simulated time.
func Run(t *testing.T, with func(t *testing.T, body func(t *testing.T, n *Network))) {
	for _, c := range []struct {
		name string
		body func(*testing.T, *Network)
	}{
		{"written through one peer, read through all", readEverywhere},
		{"the last write wins", lastWriteWins},
		{"deletion", deletion},
		{"time to live", timeToLive},
		{"never written", neverWritten},
		{"consistency", consistency},
		{"namespaces", namespaces},
		{"bounds", bounds},
		{"largest record", largest},
		{"listing", listing},
		{"long listing", longListing},
		{"concurrent writers converge", converge},
		{"providers", providers},
		{"stats", stats},
	} {
		t.Run(c.name, func(t *testing.T) { with(t, c.body) })
	}
}

// settled is longer than the stores go on with a write after its acknowledgement.
const settled = 6 * time.Second

func mustPut(t *testing.T, s Store, key, value string) records.Written {
	t.Helper()
	w, err := s.Put(t.Context(), key, []byte(value), records.PutOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return w
}

func checkValue(t *testing.T, s Store, key, want string) {
	t.Helper()
	r, err := s.Get(t.Context(), key, records.GetOptions{})
	if err != nil || string(r.Value) != want {
		t.Errorf("get %q = %q, %v; want %q", key, r.Value, err, want)
	}
}

func checkKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("%s: %v (%s), want an error of kind %s", what, err, fault.KindOf(err), want)
	}
}

func readEverywhere(t *testing.T, n *Network) {
	for i, s := range n.Stores {
		key := fmt.Sprint("key of ", i)
		w := mustPut(t, s, key, "value\x00"+key)
		wanted := min(n.Copies, len(n.Stores))
		if w.Key != key || w.Author != n.IDs[i] || w.Wanted != wanted || w.Copies != n.Copies || !w.Expires.IsZero() {
			t.Errorf("written = %+v", w)
		}
		if w.Stored < wanted/2+1 || w.Stored > wanted {
			t.Errorf("stored %d of %d copies", w.Stored, wanted)
		}
		for _, reader := range n.Stores {
			r, err := reader.Get(t.Context(), key, records.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Key != key || string(r.Value) != "value\x00"+key || r.Author != n.IDs[i] || r.Version != w.Version || r.Deleted || !r.Expires.IsZero() {
				t.Errorf("record = %+v, written %+v", r, w)
			}
		}
	}
}

func lastWriteWins(t *testing.T, n *Network) {
	var last records.Version
	for i := range 20 {
		value := fmt.Sprint("value ", i)
		w := mustPut(t, n.Stores[i%len(n.Stores)], "key", value)
		if w.Version.Compare(last) <= 0 {
			t.Errorf("version %s after %s", w.Version, last)
		}
		last = w.Version
		checkValue(t, n.Stores[(i+1)%len(n.Stores)], "key", value)
	}
}

func deletion(t *testing.T, n *Network) {
	first, other := n.Stores[0], n.Stores[len(n.Stores)-1]
	mustPut(t, first, "key", "value")
	w, err := other.Delete(t.Context(), "key", records.PutOptions{})
	if err != nil || w.Author != n.IDs[len(n.IDs)-1] || !w.Expires.IsZero() {
		t.Fatalf("delete = %+v, %v", w, err)
	}
	for _, s := range n.Stores {
		_, err := s.Get(t.Context(), "key", records.GetOptions{})
		checkKind(t, "get after delete", err, fault.NotFound)
	}
	if page, err := first.List(t.Context(), records.ListOptions{}); err != nil || len(page.Entries) != 0 {
		t.Errorf("list after delete = %+v, %v", page, err)
	}
	if _, err := first.Delete(t.Context(), "key that never was", records.PutOptions{}); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	mustPut(t, first, "key", "again")
	checkValue(t, other, "key", "again")
}

func timeToLive(t *testing.T, n *Network) {
	s := n.Stores[0]
	w, err := s.Put(t.Context(), "key", []byte("v"), records.PutOptions{TTL: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(w.Expires); left < 5*time.Second || left > 11*time.Second {
		t.Errorf("expires in %s, want 10s", left)
	}
	r, err := n.Stores[len(n.Stores)-1].Get(t.Context(), "key", records.GetOptions{})
	if err != nil || !r.Expires.Equal(w.Expires) {
		t.Errorf("record = %+v, %v", r, err)
	}
	time.Sleep(time.Until(w.Expires))
	for _, s := range n.Stores {
		_, err := s.Get(t.Context(), "key", records.GetOptions{})
		checkKind(t, "get after the expiry", err, fault.NotFound)
	}
	if page, err := s.List(t.Context(), records.ListOptions{}); err != nil || len(page.Entries) != 0 {
		t.Errorf("list after the expiry = %+v, %v", page, err)
	}
	for _, ttl := range []time.Duration{-time.Second, time.Microsecond} {
		_, err := s.Put(t.Context(), "key", nil, records.PutOptions{TTL: ttl})
		checkKind(t, "put for "+ttl.String(), err, fault.Invalid)
	}
}

func neverWritten(t *testing.T, n *Network) {
	for _, s := range n.Stores {
		_, err := s.Get(t.Context(), "nothing", records.GetOptions{})
		checkKind(t, "get", err, fault.NotFound)
	}
	page, err := n.Stores[0].List(t.Context(), records.ListOptions{Prefix: "no"})
	if err != nil || len(page.Entries) != 0 || page.Cursor != "" || !page.Complete || len(page.Missing) != 0 {
		t.Errorf("list = %+v, %v", page, err)
	}
	if providers, err := n.Stores[0].Providers(t.Context(), "nothing"); err != nil || len(providers) != 0 {
		t.Errorf("providers = %v, %v", providers, err)
	}
}

func consistency(t *testing.T, n *Network) {
	wanted := min(n.Copies, len(n.Stores))
	for level, least := range map[records.Consistency]int{records.One: 1, records.Quorum: wanted/2 + 1, records.All: wanted} {
		w, err := n.Stores[0].Put(t.Context(), "key "+level.String(), []byte("v"), records.PutOptions{Consistency: level})
		if err != nil || w.Stored < least {
			t.Errorf("%s: %+v, %v; want at least %d copies", level, w, err, least)
		}
	}
}

func namespaces(t *testing.T, n *Network) {
	s := n.Stores[0]
	own := "own/" + n.IDs[0].String() + "/name"
	mustPut(t, s, own, "mine")
	checkValue(t, n.Stores[len(n.Stores)-1], own, "mine")
	if len(n.Stores) > 1 {
		_, err := n.Stores[1].Put(t.Context(), own, []byte("stolen"), records.PutOptions{})
		checkKind(t, "write under another's own/", err, fault.Forbidden)
		_, err = n.Stores[1].Delete(t.Context(), own, records.PutOptions{})
		checkKind(t, "delete under another's own/", err, fault.Forbidden)
	}
	content := fmt.Sprintf("sha256/%x", sha256.Sum256([]byte("bytes")))
	mustPut(t, s, content, "bytes")
	_, err := s.Put(t.Context(), content, []byte("other bytes"), records.PutOptions{})
	checkKind(t, "other bytes under a digest", err, fault.Invalid)
	if _, err := s.Delete(t.Context(), content, records.PutOptions{}); err != nil {
		t.Errorf("delete of content: %v", err)
	}
	_, err = s.Put(t.Context(), "kad/x", nil, records.PutOptions{})
	checkKind(t, "kad/", err, fault.Forbidden)
}

func bounds(t *testing.T, n *Network) {
	s := n.Stores[0]
	for _, c := range []struct {
		what, key string
		value     []byte
		want      fault.Kind
	}{
		{"empty key", "", nil, fault.Invalid},
		{"long key", strings.Repeat("k", records.MaxKey+1), nil, fault.TooLarge},
		{"control character", "a\nb", nil, fault.Invalid},
		{"not UTF-8", "a\xff", nil, fault.Invalid},
		{"large value", "key", make([]byte, records.MaxValue+1), fault.TooLarge},
	} {
		_, err := s.Put(t.Context(), c.key, c.value, records.PutOptions{})
		checkKind(t, "put: "+c.what, err, c.want)
		if c.value != nil {
			continue
		}
		_, err = s.Get(t.Context(), c.key, records.GetOptions{})
		checkKind(t, "get: "+c.what, err, c.want)
		_, err = s.Provide(t.Context(), c.key)
		checkKind(t, "provide: "+c.what, err, c.want)
		_, err = s.Providers(t.Context(), c.key)
		checkKind(t, "providers: "+c.what, err, c.want)
	}
	for _, limit := range []int{-1, 1001} {
		_, err := s.List(t.Context(), records.ListOptions{Limit: limit})
		checkKind(t, "list", err, fault.Invalid)
	}
}

func largest(t *testing.T, n *Network) {
	key, value := strings.Repeat("ä", records.MaxKey/2), strings.Repeat("x", records.MaxValue)
	mustPut(t, n.Stores[0], key, value)
	r, err := n.Stores[len(n.Stores)-1].Get(t.Context(), key, records.GetOptions{})
	if err != nil || string(r.Value) != value {
		t.Errorf("%d bytes, %v; want %d", len(r.Value), err, len(value))
	}
	mustPut(t, n.Stores[0], "empty", "")
	checkValue(t, n.Stores[0], "empty", "")
}

func listing(t *testing.T, n *Network) {
	keys := []string{"a", "a b", "a/../b", "a//b", "a/b", "aa", "b", "z", "ä"}
	for i, key := range keys {
		mustPut(t, n.Stores[i%len(n.Stores)], key, "old")
		mustPut(t, n.Stores[0], key, strings.Repeat("v", i))
	}
	for _, s := range n.Stores {
		page, err := s.List(t.Context(), records.ListOptions{})
		if err != nil || page.Cursor != "" || !page.Complete || len(page.Missing) > 0 || !slices.Equal(names(page.Entries), keys) {
			t.Errorf("list = %+v, %v; want %q", page, err, keys)
		}
		for i, e := range page.Entries {
			if e.Size != int64(i) || e.Author != n.IDs[0] || e.Version.IsZero() {
				t.Errorf("entry = %+v, want the newest version, of %d bytes", e, i)
			}
		}
		if page, err = s.List(t.Context(), records.ListOptions{Prefix: "a/"}); err != nil || !slices.Equal(names(page.Entries), []string{"a/../b", "a//b", "a/b"}) {
			t.Errorf("list a/ = %q, %v", names(page.Entries), err)
		}
		for limit := 1; limit <= len(keys); limit++ {
			if got := allPages(t, s, records.ListOptions{Limit: limit}); !slices.Equal(got, keys) {
				t.Errorf("in pages of %d: %q, want %q", limit, got, keys)
			}
		}
	}
	local, err := n.Stores[0].List(t.Context(), records.ListOptions{Local: true})
	if err != nil || !local.Complete || len(local.Entries) > len(keys) || len(n.Stores) == 1 && len(local.Entries) != len(keys) {
		t.Errorf("local list = %+v, %v", local, err)
	}
}

func names(entries []records.Entry) []string {
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}

// allPages follows the cursors to the end.
func allPages(t *testing.T, s Store, opts records.ListOptions) []string {
	t.Helper()
	var keys []string
	for {
		page, err := s.List(t.Context(), opts)
		if err != nil || !page.Complete {
			t.Fatalf("list %+v = %+v, %v", opts, page, err)
		}
		if len(page.Entries) > opts.Limit && opts.Limit > 0 {
			t.Errorf("%d entries, limit %d", len(page.Entries), opts.Limit)
		}
		keys = append(keys, names(page.Entries)...)
		if opts.Cursor = page.Cursor; opts.Cursor == "" {
			return keys
		}
	}
}

func longListing(t *testing.T, n *Network) {
	const count = 150
	var want []string
	var wg sync.WaitGroup
	for i := range count {
		key := fmt.Sprintf("%s%04d", strings.Repeat("long/", 150), i)
		deleted := i%3 == 0
		if !deleted {
			want = append(want, key)
		}
		wg.Go(func() {
			s := n.Stores[i%len(n.Stores)]
			_, err := s.Put(t.Context(), key, nil, records.PutOptions{Consistency: records.All})
			if err == nil && deleted {
				_, err = s.Delete(t.Context(), key, records.PutOptions{Consistency: records.All})
			}
			if err != nil {
				t.Error(err)
			}
		})
		if i%50 == 49 {
			wg.Wait()
		}
	}
	wg.Wait()
	for _, limit := range []int{0, 7} {
		if got := allPages(t, n.Stores[0], records.ListOptions{Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %d keys, want %d", limit, len(got), len(want))
		}
	}
}

func converge(t *testing.T, n *Network) {
	const writes = 10
	var wg sync.WaitGroup
	var mu sync.Mutex
	newest := map[string]records.Written{}
	for i, s := range n.Stores {
		for w := range 3 {
			wg.Go(func() {
				for j := range writes {
					key := fmt.Sprint("key", j%2)
					written, err := s.Put(t.Context(), key, fmt.Appendf(nil, "%d/%d/%d", i, w, j), records.PutOptions{})
					if err != nil {
						t.Error(err)
						continue
					}
					mu.Lock()
					if written.Version.Compare(newest[key].Version) > 0 {
						newest[key] = written
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	time.Sleep(settled)
	for key, want := range newest {
		for _, s := range n.Stores {
			if r, err := s.Get(t.Context(), key, records.GetOptions{}); err != nil || r.Version != want.Version {
				t.Errorf("%s = version %s, %v; the newest is %s", key, r.Version, err, want.Version)
			}
		}
	}
}

func providers(t *testing.T, n *Network) {
	for i, s := range n.Stores {
		w, err := s.Provide(t.Context(), "file")
		if err != nil || w.Author != n.IDs[i] || time.Until(w.Expires) < records.ProviderTTL-time.Minute {
			t.Fatalf("provide = %+v, %v", w, err)
		}
	}
	want := slices.Sorted(slices.Values(n.IDs))
	for _, s := range n.Stores {
		list, err := s.Providers(t.Context(), "file")
		var got []peer.ID
		for _, p := range list {
			got = append(got, p.ID)
			if len(p.Addrs) == 0 {
				t.Errorf("no addresses of %s", p.ID)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("providers = %v, %v; want %v", got, err, want)
		}
	}
	if _, err := n.Stores[0].Get(t.Context(), "file", records.GetOptions{}); !isNotFound(err) {
		t.Errorf("a provided key is no record: %v", err)
	}
}

func isNotFound(err error) bool { return err != nil && fault.KindOf(err) == fault.NotFound }

func stats(t *testing.T, n *Network) {
	before := int64(0)
	for _, s := range n.Stores {
		before += s.Stats().Stored
	}
	if _, err := n.Stores[0].Put(t.Context(), "key", []byte("v"), records.PutOptions{Consistency: records.All}); err != nil {
		t.Fatal(err)
	}
	wanted := min(n.Copies, len(n.Stores))
	after := int64(0)
	for _, s := range n.Stores {
		got := s.Stats()
		after += got.Stored
		if got.Wanted != wanted || got.Copies != n.Copies || got.Quorum != wanted/2+1 || got.DiskBytes <= 0 {
			t.Errorf("stats = %+v", got)
		}
	}
	if after-before != int64(wanted) {
		t.Errorf("%d copies more after a write, want %d", after-before, wanted)
	}
}
