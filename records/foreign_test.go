package records_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// putForeign puts a value to some nodes, as a Kademlia client does.
func putForeign(t *testing.T, nodes []*node, from peer.ID, key, value string) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Foreign().PutValue(t.Context(), from, []byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantForeign(t *testing.T, n *node, key, want string) records.Record {
	t.Helper()
	r, err := n.Get(t.Context(), key, records.GetOptions{})
	if want == "" {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("get %q = %q, %v; want %v", key, r.Value, err, fault.NotFound)
		}
		return r
	}
	if err != nil || string(r.Value) != want || r.Key != key {
		t.Errorf("get %q = %q, %v; want %q", key, r.Value, err, want)
	}
	return r
}

func sum(t *testing.T, data string) []byte {
	t.Helper()
	h, err := multihash.Sum([]byte(data), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestForeignValuesAreReadByMembers(t *testing.T) {
	simulate(t, 4, func(t *testing.T, s *simulation) {
		_, stranger := newKey(t)
		putForeign(t, s.nodes[:3], stranger, "/v/hello there", "old")
		time.Sleep(time.Second)
		putForeign(t, s.nodes[1:3], stranger, "/v/hello there", "new")
		const key = "kad/v/hello%20there"
		for _, n := range s.nodes {
			r := wantForeign(t, n, key, "new")
			if left := time.Until(r.Expires); r.Author != "" || left > records.ForeignTTL || left < records.ForeignTTL-time.Minute || r.Stored != 2 {
				t.Errorf("got %+v; want no author, two copies, and an end in %v", r, records.ForeignTTL)
			}
		}
		wantForeign(t, s.nodes[0], "kad/v/other", "")
		// A frozen member costs the patience of a read, and no more.
		s.nodes[2].frozen.Store(true)
		start := time.Now()
		wantForeign(t, s.nodes[3], key, "new")
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("a read beside a frozen member took %v", took)
		}
		s.nodes[2].frozen.Store(false)
		// It survives a crash of those who have it.
		for _, n := range s.nodes[1:3] {
			s.crash(n)
		}
		wantForeign(t, s.nodes[3], key, "new")
		s.advance(records.ForeignTTL)
		wantForeign(t, s.nodes[3], key, "")
	})
}

// TestForeignKeysAreNotWrittenByMembers also shows that what foreign peers put is not listed among the records.
func TestForeignKeysAreNotWrittenByMembers(t *testing.T) {
	simulate(t, 2, func(t *testing.T, s *simulation) {
		_, stranger := newKey(t)
		putForeign(t, s.nodes, stranger, "/v/k", "v")
		n := s.nodes[0]
		_, putErr := n.Put(t.Context(), "kad/v/k", []byte("x"), records.PutOptions{})
		_, deleteErr := n.Delete(t.Context(), "kad/v/k", records.PutOptions{})
		_, provideErr := n.Provide(t.Context(), "kad/v/k")
		for what, err := range map[string]error{"put": putErr, "delete": deleteErr, "provide": provideErr} {
			if fault.KindOf(err) != fault.Forbidden {
				t.Errorf("%s: %v, want %v", what, err, fault.Forbidden)
			}
		}
		wantForeign(t, n, "kad/v/k", "v")
		if page, err := n.List(t.Context(), records.ListOptions{}); err != nil || len(page.Entries) != 0 {
			t.Errorf("listed: %+v, %v", page, err)
		}
	})
}

func TestForeignPutsThatAreRefused(t *testing.T) {
	simulate(t, 1, func(t *testing.T, s *simulation) {
		key, stranger := newKey(t)
		public, err := crypto.MarshalPublicKey(key.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		_, other := newKey(t)
		for _, tt := range []struct {
			name, key string
			value     []byte
			want      fault.Kind
		}{
			{"a signed record", "/moot/k", []byte("v"), fault.Forbidden},
			{"no namespace", "k", []byte("v"), fault.Invalid},
			{"no name", "/v/", []byte("v"), fault.Invalid},
			{"an odd namespace", "/v v/k", []byte("v"), fault.Invalid},
			{"a long key", "/v/" + string(make([]byte, records.MaxForeignKey)), []byte("v"), fault.TooLarge},
			{"a large value", "/v/k", make([]byte, records.MaxForeignValue+1), fault.TooLarge},
			{"no public key", "/pk/" + string(stranger), []byte("v"), fault.Invalid},
			{"another's public key", "/pk/" + string(other), public, fault.Invalid},
		} {
			if err := s.nodes[0].Foreign().PutValue(t.Context(), stranger, []byte(tt.key), tt.value); fault.KindOf(err) != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		putForeign(t, s.nodes, stranger, "/pk/"+string(stranger), string(public))
		putForeign(t, s.nodes, stranger, "/v/k", string(make([]byte, records.MaxForeignValue)))
		wantForeign(t, s.nodes[0], "kad/v/k", string(make([]byte, records.MaxForeignValue)))
	})
}

func TestForeignPeersReadSignedRecords(t *testing.T) {
	simulate(t, 6, func(t *testing.T, s *simulation) {
		const key = "a signed/record"
		validator := records.NewValidator(s.id)
		read := func(n *node) ([]byte, error) {
			v, err := n.Foreign().Value(t.Context(), []byte("/moot/"+key))
			return v.Value, err
		}
		if _, err := read(s.nodes[0]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("before it is written: %v, want %v", err, fault.NotFound)
		}
		var versions [][]byte
		for _, value := range []string{"first", "second"} {
			if _, err := s.nodes[0].Put(t.Context(), key, []byte(value), records.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, n := range s.nodes { // holders or not
				envelope, err := read(n)
				if err != nil {
					t.Fatal(err)
				}
				if err := validator.Validate("/moot/"+key, envelope); err != nil {
					t.Error(err)
				}
				r, err := validator.Open(envelope)
				if err != nil || string(r.Value) != value || r.Author != s.nodes[0].host.ID() {
					t.Errorf("read %+v, %v; want %q by %s", r, err, value, s.nodes[0].host.ID())
				}
				versions = append(versions, envelope)
			}
		}
		if i, err := validator.Select("/moot/"+key, slices.Insert(slices.Clone(versions), 0, []byte("forged"))); err != nil || i != len(s.nodes)+1 {
			t.Errorf("selected %d, %v; want %d, the first of the newest", i, err, len(s.nodes)+1)
		}
		forged := bytes.Clone(versions[0])
		forged[len(forged)/2] ^= 1
		for name, v := range map[string]struct {
			key   string
			value []byte
		}{
			"a forged record": {"/moot/" + key, forged}, "another key": {"/moot/other", versions[0]}, "another namespace": {"/v/" + key, versions[0]},
		} {
			if err := validator.Validate(v.key, v.value); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		if _, err := validator.Select("/moot/"+key, [][]byte{forged}); err == nil {
			t.Error("a forged record was selected")
		}
		if _, err := s.nodes[3].Delete(t.Context(), key, records.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := read(s.nodes[1]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("after it was deleted: %v, want %v", err, fault.NotFound)
		}
		if _, err := s.nodes[0].Foreign().Value(t.Context(), []byte("/moot/own/nobody/x")); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a key that can't be: %v, want %v", err, fault.NotFound)
		}
	})
}

func TestForeignProvidersAndMembers(t *testing.T) {
	simulate(t, 4, func(t *testing.T, s *simulation) {
		_, stranger := newKey(t)
		info := peer.AddrInfo{ID: stranger, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/5")}}
		const content = "some content"
		contentKey := fmt.Sprintf("sha256/%x", sha256.Sum256([]byte(content)))
		for _, tt := range []struct {
			key       string
			multihash []byte
		}{{"a rendezvous", sum(t, "a rendezvous")}, {contentKey, sum(t, content)}} {
			if _, err := s.nodes[0].Provide(t.Context(), tt.key); err != nil {
				t.Fatal(err)
			}
			for _, n := range s.nodes[1:3] {
				if err := n.Foreign().AddProvider(t.Context(), tt.multihash, info); err != nil {
					t.Fatal(err)
				}
			}
			// To a foreign peer: the member at every node, the foreign one where it said so.
			for i, n := range s.nodes {
				found, err := n.Foreign().Providers(t.Context(), tt.multihash)
				if err != nil {
					t.Fatal(err)
				}
				want := 1
				if 1 <= i && i < 3 {
					want = 2
				}
				if len(found) != want || found[0].ID != s.nodes[0].host.ID() || len(found[0].Addrs) == 0 {
					t.Errorf("%s: node %d tells of %v; want %d, the member first", tt.key, i, found, want)
				}
			}
			// To a member: both, wherever it asks.
			for _, n := range s.nodes {
				list, err := n.Providers(t.Context(), tt.key)
				if err != nil || len(list) != 2 || !slices.IsSortedFunc(list, func(a, b records.Provider) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) }) {
					t.Fatalf("%s: %+v, %v; want two, by id", tt.key, list, err)
				}
				for _, p := range list {
					if p.Foreign != (p.ID == stranger) || len(p.Addrs) == 0 {
						t.Errorf("%s: %+v", tt.key, p)
					}
				}
			}
		}
		s.advance(records.ForeignProviderTTL)
		if found, err := s.nodes[2].Foreign().Providers(t.Context(), sum(t, content)); err != nil || slices.ContainsFunc(found, func(i peer.AddrInfo) bool { return i.ID == stranger }) {
			t.Errorf("after its time: %v, %v", found, err)
		}
		for _, key := range [][]byte{nil, make([]byte, 81)} {
			if err := s.nodes[0].Foreign().AddProvider(t.Context(), key, info); fault.KindOf(err) != fault.Invalid {
				t.Errorf("a key of %d bytes: %v, want %v", len(key), err, fault.Invalid)
			}
		}
	})
}

// TestForeignWritesAreSlowedDown: all foreign peers together write 8 MiB at once and 4 MiB a second, and what would wait too long is refused.
func TestForeignWritesAreSlowedDown(t *testing.T) {
	simulate(t, 1, func(t *testing.T, s *simulation) {
		value := make([]byte, records.MaxForeignValue)
		put := func(ctx context.Context, i int) error {
			_, stranger := newKey(t)
			return s.nodes[0].Foreign().PutValue(ctx, stranger, fmt.Appendf(nil, "/v/%d", i), value)
		}
		start := time.Now()
		const puts = 190 // 12 MiB
		for i := range puts {
			if err := put(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 900*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("12 MiB took %v, want about a second", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := put(ctx, puts); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("with no time to wait: %v, want %v", err, fault.Unavailable)
		}
		wantForeign(t, s.nodes[0], fmt.Sprintf("kad/v/%d", puts), "")
	})
}
