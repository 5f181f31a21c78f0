package disk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
)

var roomy = ForeignLimits{
	Values: 1000, PeerValues: 1000, Bytes: 1 << 20, PeerBytes: 1 << 20, Providers: 1000, PeerProviders: 1000, KeyProviders: 1000,
}

func mustOpenForeign(t *testing.T, d *Disk, limits ForeignLimits) *Foreign {
	t.Helper()
	f, err := OpenForeign(d, limits)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func foreignValue(from, key, value string, received uint64) ForeignValue {
	return ForeignValue{
		From: sha256.Sum256([]byte(from)), Key: []byte(key), Value: []byte(value), Received: received, Expires: received + 100,
	}
}

func checkForeign(t *testing.T, f *Foreign, key, want string) {
	t.Helper()
	v, found, err := f.Value(sha256.Sum256([]byte(key)))
	if err != nil || found != (want != "") || string(v.Value) != want {
		t.Errorf("foreign value %q = %q, %v, %v; want %q", key, v.Value, found, err, want)
	}
}

// TestForeignSpaceSurvivesReopening also shows that it is apart from the records, though the keys are the same.
func TestForeignSpaceSurvivesReopening(t *testing.T) {
	fs := vfs.NewMem()
	d := mustOpen(t, Config{FS: fs})
	f := mustOpenForeign(t, d, roomy)
	mustPut(t, d, "k", 1)
	for i, value := range []string{"old", "new"} {
		if err := f.PutValue(t.Context(), foreignValue("a", "k", value, uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	p := ForeignProvider{ID: "a", Received: 1, Expires: 10, Addrs: [][]byte{{1, 2}, {3}}}
	if err := f.PutProvider(t.Context(), sha256.Sum256([]byte("k")), p, 1); err != nil {
		t.Fatal(err)
	}
	want := ForeignUsage{Values: 1, Bytes: int64(len("k" + "new")), Providers: 1}
	if got := f.Usage(); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}
	closeDisk(t, d)

	d = mustOpen(t, Config{FS: fs})
	defer closeDisk(t, d)
	f = mustOpenForeign(t, d, roomy)
	if got := f.Usage(); got != want {
		t.Errorf("usage after reopening %+v, want %+v", got, want)
	}
	checkForeign(t, f, "k", "new")
	checkRecord(t, d, "k", 1)
	list, err := f.Providers(sha256.Sum256([]byte("k")), 5, 10)
	if err != nil || len(list) != 1 || !bytes.Equal(list[0].Append(nil), p.Append(nil)) {
		t.Errorf("providers %+v, %v; want %+v", list, err, p)
	}
	if list, err := f.Providers(sha256.Sum256([]byte("k")), 10, 10); err != nil || len(list) != 0 {
		t.Errorf("providers after their end: %+v, %v", list, err)
	}
	if heads, _, err := d.List("", "", 10, 1000); err != nil || len(heads) != 1 || d.Count() != 1 {
		t.Errorf("the foreign value is listed or counted as a record: %v, %v, %d", heads, err, d.Count())
	}
}

func TestForeignQuotasRefuse(t *testing.T) {
	tests := []struct {
		name   string
		limits func(*ForeignLimits)
		from   string // of the put that is too much
		size   int
	}{
		{"values in all", func(l *ForeignLimits) { l.Values = 2 }, "b", 1},
		{"bytes in all", func(l *ForeignLimits) { l.Bytes = 50 }, "b", 40},
		{"values of a peer", func(l *ForeignLimits) { l.PeerValues = 2 }, "a", 1},
		{"bytes of a peer", func(l *ForeignLimits) { l.PeerBytes = 50 }, "a", 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := roomy
			tt.limits(&limits)
			d := mustOpen(t, Config{FS: vfs.NewMem()})
			defer closeDisk(t, d)
			f := mustOpenForeign(t, d, limits)
			put := func(from, key string, size int) error {
				return f.PutValue(t.Context(), foreignValue(from, key, string(make([]byte, size)), 1))
			}
			for _, key := range []string{"1", "2"} {
				if err := put("a", key, 10); err != nil {
					t.Fatal(err)
				}
			}
			before := f.Usage()
			if err := put(tt.from, "3", tt.size); fault.KindOf(err) != fault.Full {
				t.Errorf("over the quota: %v, want %v", err, fault.Full)
			}
			checkForeign(t, f, "3", "")
			checkForeign(t, f, "1", string(make([]byte, 10)))
			if got := f.Usage(); got != before {
				t.Errorf("a refused put changed the usage from %+v to %+v", before, got)
			}
			if err := put("a", "2", 1); err != nil {
				t.Errorf("a smaller value in place of another at the quota: %v", err)
			}
			// What expired makes room once it is swept.
			if removed, err := f.Sweep(t.Context(), 101); err != nil || removed != 2 {
				t.Errorf("swept %d, %v; want 2", removed, err)
			}
			if got := f.Usage(); got != (ForeignUsage{}) {
				t.Errorf("usage of nothing: %+v", got)
			}
			if err := put(tt.from, "3", tt.size); err != nil {
				t.Errorf("after the sweep: %v", err)
			}
		})
	}
}

func TestForeignProviderQuotasRefuse(t *testing.T) {
	key := func(n int) Hash { return sha256.Sum256(fmt.Append(nil, n)) }
	for name, limit := range map[string]func(*ForeignLimits){
		"in all":   func(l *ForeignLimits) { l.Providers = 2 },
		"of a key": func(l *ForeignLimits) { l.KeyProviders = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			limits := roomy
			limit(&limits)
			d := mustOpen(t, Config{FS: vfs.NewMem()})
			defer closeDisk(t, d)
			f := mustOpenForeign(t, d, limits)
			put := func(id string, now uint64) error {
				return f.PutProvider(t.Context(), key(0), ForeignProvider{ID: id, Received: now, Expires: now + 10}, now)
			}
			for _, id := range []string{"a", "b", "a"} {
				if err := put(id, 1); err != nil {
					t.Fatal(err)
				}
			}
			if err := put("c", 1); fault.KindOf(err) != fault.Full {
				t.Errorf("over the quota: %v, want %v", err, fault.Full)
			}
			if err := put("c", 11); err != nil {
				t.Errorf("what expired makes no room: %v", err)
			}
			if got := f.Usage().Providers; got != 1 {
				t.Errorf("%d providers, want 1", got)
			}
		})
	}
	t.Run("of a peer", func(t *testing.T) {
		limits := roomy
		limits.PeerProviders = 2
		d := mustOpen(t, Config{FS: vfs.NewMem()})
		defer closeDisk(t, d)
		f := mustOpenForeign(t, d, limits)
		for n := range 3 {
			err := f.PutProvider(t.Context(), key(n), ForeignProvider{ID: "a", Expires: 10}, 1)
			if want := n == 2; (fault.KindOf(err) == fault.Full) != want {
				t.Errorf("key %d: %v, want it refused: %v", n, err, want)
			}
		}
		if err := f.PutProvider(t.Context(), key(2), ForeignProvider{ID: "b", Expires: 10}, 1); err != nil {
			t.Errorf("another peer: %v", err)
		}
	})
}

func TestForeignSweepGoesOnAfterAChunk(t *testing.T) {
	d := mustOpen(t, Config{FS: vfs.NewMem(), NoSync: true})
	defer closeDisk(t, d)
	f := mustOpenForeign(t, d, roomy)
	const n = 2*sweepChunk + 10
	for i := range n {
		if err := f.PutValue(t.Context(), foreignValue("a", fmt.Sprint(i), "v", uint64(i%2))); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := f.Sweep(t.Context(), 100); err != nil || removed != n/2 {
		t.Errorf("swept %d, %v; want %d", removed, err, n/2)
	}
	if got := f.Usage().Values; got != n/2 {
		t.Errorf("%d values left, want %d", got, n/2)
	}
}

func FuzzForeignValue(f *testing.F) {
	v := foreignValue("a", "/v/k", "value", 7)
	f.Add(v.Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := UnmarshalForeignValue(data)
		if err != nil {
			return
		}
		if len(v.Key) == 0 || len(v.Key) > MaxForeignKey || len(v.Value) > MaxForeignValue || v.Expires < v.Received {
			t.Errorf("out of bounds: %+v", v)
		}
		if again := v.Marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzForeignProvider(f *testing.F) {
	f.Add((&ForeignProvider{ID: "id", Received: 1, Expires: 2, Addrs: [][]byte{{1}, {2, 3}}}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := UnmarshalForeignProvider(data)
		if err != nil {
			return
		}
		if p.ID == "" || len(p.Addrs) > MaxForeignAddrs || p.Expires < p.Received {
			t.Errorf("out of bounds: %+v", p)
		}
		if again := p.Append(nil); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzForeignHead(f *testing.F) {
	f.Add((&foreignHead{Expires: 1, Size: 2}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := unmarshalForeignHead(data)
		if err != nil {
			return
		}
		if again := h.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}
