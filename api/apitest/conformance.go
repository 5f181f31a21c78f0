package apitest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Keys returns keys that are valid and easily broken on their way through URLs.
func Keys() []string {
	return []string{
		"a", "a/b", "a//b", "/a", "//", "a/", "a/../b", "..", ".", "./a", "../../etc/passwd", "%", "%2F", "a%2Fb", "%00", "%zz",
		"a b", "a+b", "a?b=c&d", "a#b", "a;b", "a:b@c", "\"'<>\\^`{|}~", "[::1]", "*", "ä", "日本語", "\u200b", "🙂",
		strings.Repeat("k", v1.MaxKey), strings.Repeat("/", v1.MaxKey), strings.Repeat("ß", v1.MaxKey/2),
	}
}

// BadKeys returns keys that every backend refuses, with the kind of the refusal.
func BadKeys() map[string]fault.Kind {
	return map[string]fault.Kind{
		"": fault.Invalid, "\x00": fault.Invalid, "a\nb": fault.Invalid, "\x7f": fault.Invalid, "a\u0085": fault.Invalid,
		"\xff": fault.Invalid, "a\xc3": fault.Invalid, strings.Repeat("k", v1.MaxKey+1): fault.TooLarge,
	}
}

// TestBackend checks what api.Backend promises. newBackend returns one that is ready, knows at least one other peer that is alive, and
// holds no records.
func TestBackend(t *testing.T, newBackend func(t *testing.T) api.Backend) {
	for _, c := range []struct {
		name string
		test func(*testing.T, api.Backend)
	}{
		{"node", testNode},
		{"peers", testPeers},
		{"round trip", testRoundTrip},
		{"values", testValues},
		{"versions", testVersions},
		{"delete", testDelete},
		{"time to live", testTTL},
		{"bad input", testBadInput},
		{"conditions", testConditions},
		{"consistency of reads", testReadConsistency},
		{"sessions", testSessions},
		{"holders", testHolders},
		{"standing", testStanding},
		{"list", testList},
		{"list in pages", testPages},
		{"list after a key", testListAfter},
		{"watch", testWatch},
		{"network", testNetwork},
		{"topics", testTopics},
		{"providers", testProviders},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // nodes of a real network take seconds to be in sync
			c.test(t, newBackend(t))
		})
	}
}

func wantKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one of kind %s", what, want)
	} else if got := fault.KindOf(err); got != want {
		t.Errorf("%s: error of kind %s, want %s: %v", what, got, want, err)
	}
}

func testNode(t *testing.T, b api.Backend) {
	node, err := b.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if node.ID == "" || len(node.Network.ID) != 52 || !node.Ready || node.NotReady != "" || node.Peers.Alive < 1 {
		t.Errorf("node %+v", node)
	}
	if err := b.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	if err := b.RecordsReady(t.Context()); err != nil {
		wantKind(t, "records not ready", err, fault.Unavailable)
	}
}

func testPeers(t *testing.T, b api.Backend) {
	peers, err := b.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(peers, func(x, y v1.Peer) int { return strings.Compare(x.ID, y.ID) }) {
		t.Errorf("peers are not sorted: %+v", peers)
	}
	selves := 0
	for _, p := range peers {
		if found, err := b.FindPeer(t.Context(), p.ID, ""); err != nil || found.ID != p.ID {
			t.Errorf("find %s: %+v, %v", p.ID, found, err)
		}
		if p.Self {
			selves++
			continue
		}
		if pong, err := b.Ping(t.Context(), p.ID); err != nil || pong.ID != p.ID || pong.RTTMicros <= 0 {
			t.Errorf("ping %s: %+v, %v", p.ID, pong, err)
		}
	}
	if selves != 1 {
		t.Errorf("%d peers are the node itself, want 1", selves)
	}
	_, err = b.FindPeer(t.Context(), "no id", "")
	wantKind(t, "find what is no id", err, fault.Invalid)
	for _, p := range peers {
		_, err = b.FindPeer(t.Context(), p.ID, "magic")
		wantKind(t, "find a peer by a way that there is not", err, fault.Invalid)
		if p.Self {
			continue
		}
		for _, via := range []string{"iterative", "recursive", "broadcast"} {
			if found, err := b.FindPeer(t.Context(), p.ID, via); err != nil || found.ID != p.ID || len(found.Addresses) == 0 {
				t.Errorf("find %s by the %s way: %+v, %v", p.ID, via, found, err)
			}
		}
	}
	_, err = b.Ping(t.Context(), "no id")
	wantKind(t, "ping what is no id", err, fault.Invalid)
}

func put(t *testing.T, b api.Backend, key string, value []byte) v1.Written {
	t.Helper()
	w, err := b.PutRecord(t.Context(), key, value, api.PutOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	if w.Key != key || w.Version == "" || w.Author == "" || w.Copies.Stored < 1 {
		t.Errorf("put %q: %+v", key, w)
	}
	return w
}

func testRoundTrip(t *testing.T, b api.Backend) {
	for i, key := range Keys() {
		put(t, b, key, fmt.Append(nil, i))
	}
	for i, key := range Keys() {
		rec, err := b.GetRecord(t.Context(), key, api.GetOptions{})
		if err != nil || rec.Key != key || string(rec.Value) != fmt.Sprint(i) {
			t.Errorf("get %q: %+v, %v; want value %d", key, rec, err, i)
		}
	}
}

func testValues(t *testing.T, b api.Backend) {
	for i, value := range [][]byte{{}, {0}, []byte("text\r\n"), {0xff, 0xfe, 0}, bytes.Repeat([]byte{0xa5}, v1.MaxValue)} {
		key := fmt.Sprint("value ", i)
		w := put(t, b, key, value)
		rec, err := b.GetRecord(t.Context(), key, api.GetOptions{})
		if err != nil || !bytes.Equal(rec.Value, value) || rec.Version != w.Version || rec.Author != w.Author || !rec.Expires.IsZero() {
			t.Errorf("value %d of %d bytes: got %d bytes, version %q for %q, author %q for %q, expires %s, %v",
				i, len(value), len(rec.Value), rec.Version, w.Version, rec.Author, w.Author, rec.Expires, err)
		}
	}
	_, err := b.PutRecord(t.Context(), "large", make([]byte, v1.MaxValue+1), api.PutOptions{})
	wantKind(t, "put a value over the limit", err, fault.TooLarge)
}

func testVersions(t *testing.T, b api.Backend) {
	first, second := put(t, b, "k", []byte("same")), put(t, b, "k", []byte("same"))
	if first.Version >= second.Version {
		t.Errorf("version %q, then %q", first.Version, second.Version)
	}
	for _, c := range []string{"", "one", "quorum", "all"} {
		if _, err := b.PutRecord(t.Context(), "k", nil, api.PutOptions{Consistency: c}); err != nil {
			t.Errorf("put with consistency %q: %v", c, err)
		}
	}
}

func testDelete(t *testing.T, b api.Backend) {
	_, err := b.GetRecord(t.Context(), "k", api.GetOptions{})
	wantKind(t, "get what never was", err, fault.NotFound)
	put(t, b, "k", []byte("v"))
	if w, err := b.DeleteRecord(t.Context(), "k", api.PutOptions{}); err != nil || w.Key != "k" || w.Version == "" {
		t.Errorf("delete: %+v, %v", w, err)
	}
	_, err = b.GetRecord(t.Context(), "k", api.GetOptions{})
	wantKind(t, "get what was deleted", err, fault.NotFound)
	put(t, b, "k", []byte("again"))
	if rec, err := b.GetRecord(t.Context(), "k", api.GetOptions{}); err != nil || string(rec.Value) != "again" {
		t.Errorf("get what was put after a delete: %q, %v", rec.Value, err)
	}
}

func testTTL(t *testing.T, b api.Backend) {
	w, err := b.PutRecord(t.Context(), "k", nil, api.PutOptions{TTL: time.Hour})
	if err != nil || w.Expires.IsZero() {
		t.Fatalf("put: expires %s, %v", w.Expires, err)
	}
	rec, err := b.GetRecord(t.Context(), "k", api.GetOptions{})
	if err != nil || !rec.Expires.Equal(w.Expires) {
		t.Errorf("get: expires %s, want %s, %v", rec.Expires, w.Expires, err)
	}
}

func testBadInput(t *testing.T, b api.Backend) {
	for key, kind := range BadKeys() {
		_, err := b.PutRecord(t.Context(), key, nil, api.PutOptions{})
		wantKind(t, fmt.Sprintf("put %.20q", key), err, kind)
		_, err = b.GetRecord(t.Context(), key, api.GetOptions{})
		wantKind(t, fmt.Sprintf("get %.20q", key), err, kind)
		_, err = b.DeleteRecord(t.Context(), key, api.PutOptions{})
		wantKind(t, fmt.Sprintf("delete %.20q", key), err, kind)
		_, err = b.Holders(t.Context(), key)
		wantKind(t, fmt.Sprintf("holders of %.20q", key), err, kind)
		_, err = b.Provide(t.Context(), key)
		wantKind(t, fmt.Sprintf("provide %.20q", key), err, kind)
		_, err = b.Providers(t.Context(), key)
		wantKind(t, fmt.Sprintf("providers of %.20q", key), err, kind)
	}
	_, err := b.PutRecord(t.Context(), "k", nil, api.PutOptions{Consistency: "most"})
	wantKind(t, "put with an unknown consistency", err, fault.Invalid)
	_, err = b.GetRecord(t.Context(), "k", api.GetOptions{Consistency: "most"})
	wantKind(t, "get with an unknown consistency", err, fault.Invalid)
	_, err = b.GetRecord(t.Context(), "k", api.GetOptions{Session: "no session"})
	wantKind(t, "get in what is no session", err, fault.Invalid)
	_, err = b.PutRecord(t.Context(), "k", nil, api.PutOptions{Session: "no session"})
	wantKind(t, "put in what is no session", err, fault.Invalid)
	_, err = b.PutRecord(t.Context(), "k", nil, api.PutOptions{IfVersion: "no version"})
	wantKind(t, "put over what is no version", err, fault.Invalid)
	_, err = b.ListRecords(t.Context(), api.ListOptions{Limit: api.MaxPage + 1})
	wantKind(t, "list more than a page", err, fault.Invalid)
	_, err = b.ListRecords(t.Context(), api.ListOptions{Cursor: "!"})
	wantKind(t, "list from a bad cursor", err, fault.Invalid)
}

func testList(t *testing.T, b api.Backend) {
	want := Keys()
	for _, key := range want {
		put(t, b, key, []byte(key))
	}
	put(t, b, "deleted", nil)
	if _, err := b.DeleteRecord(t.Context(), "deleted", api.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	for _, prefix := range append([]string{"", "no such"}, Keys()...) {
		page, err := b.ListRecords(t.Context(), api.ListOptions{Prefix: prefix})
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		var got, under []string
		for _, e := range page.Records {
			got = append(got, e.Key)
			if e.Size != int64(len(e.Key)) || e.Version == "" || e.Author == "" {
				t.Errorf("entry %+v", e)
			}
		}
		for _, key := range want {
			if strings.HasPrefix(key, prefix) {
				under = append(under, key)
			}
		}
		if !slices.Equal(got, under) || page.Cursor != "" || !page.Complete {
			t.Errorf("list %q: %.20q, cursor %q, complete %t; want %.20q", prefix, got, page.Cursor, page.Complete, under)
		}
	}
}

func testPages(t *testing.T, b api.Backend) {
	const records, limit = 10, 3
	for i := range records {
		put(t, b, fmt.Sprintf("k%d", i), nil)
	}
	var got []string
	opts := api.ListOptions{Prefix: "k", Limit: limit}
	for pages := 1; ; pages++ {
		page, err := b.ListRecords(t.Context(), opts)
		if err != nil || len(page.Records) > limit || pages > records {
			t.Fatalf("page %d: %d records, %v", pages, len(page.Records), err)
		}
		for _, e := range page.Records {
			got = append(got, e.Key)
		}
		if opts.Cursor = page.Cursor; opts.Cursor == "" {
			break
		}
	}
	if len(got) != records || !slices.IsSorted(got) || got[0] != "k0" || got[records-1] != "k9" {
		t.Errorf("listed %q", got)
	}
}

func testProviders(t *testing.T, b api.Backend) {
	for _, key := range Keys() {
		none, err := b.Providers(t.Context(), key)
		if err != nil || none.Key != key || len(none.Providers) != 0 {
			t.Errorf("providers of %q before: %+v, %v", key, none, err)
		}
		provided, err := b.Provide(t.Context(), key)
		if err != nil || provided.Key != key || provided.Expires.IsZero() || provided.Copies.Stored < 1 {
			t.Errorf("provide %q: %+v, %v", key, provided, err)
		}
		found, err := b.Providers(t.Context(), key)
		if err != nil || found.Key != key || len(found.Providers) != 1 || found.Providers[0].ID == "" {
			t.Errorf("providers of %q: %+v, %v", key, found, err)
		}
	}
}
