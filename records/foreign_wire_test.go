package records

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

func TestForeignKeySpellings(t *testing.T) {
	for text, wire := range map[string]string{
		"kad/v/hello":                 "/v/hello",
		"kad/v/a/b//c":                "/v/a/b//c",
		"kad/ipns/%00$%08%FF":         "/ipns/\x00$\x08\xff",
		"kad/v/100%25":                "/v/100%",
		"kad/v/%20%C3%A4":             "/v/ ä",
		"kad/Name.space_1-2/~!?&#'\"": "/Name.space_1-2/~!?&#'\"",
	} {
		k, err := parseForeignText(text)
		if err != nil || string(k.wire) != wire {
			t.Errorf("%q was read as %q, %v; want %q", text, k.wire, err, wire)
		}
		if k, err = parseForeignWire([]byte(wire)); err != nil || k.text() != text {
			t.Errorf("%q is written %q, %v; want %q", wire, k.text(), err, text)
		}
	}
	for _, text := range []string{
		"", "k", "kad", "kad/", "kad/v", "kad/v/", "kad//k", "kad/v/ä", "kad/v/a b", "kad/v/%41", "kad/v/%c3%a4", "kad/v/%", "kad/v/%4", "kad/v/%zz",
		"kad/v%20/k", "kad/moot/k", "/v/k",
	} {
		if k, err := parseForeignText(text); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q was read as %q, %v; want %v", text, k.wire, err, fault.Invalid)
		}
	}
}

// TestForeignAnswersAreNotBelieved: members tell one another of unsigned values, and one that lies can't hide the others' for ever.
func TestForeignAnswersAreNotBelieved(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	f := &Foreign{s: &Store{cfg: Config{Now: func() time.Time { return now }}}}
	ttl := uint64(ForeignTTL.Milliseconds())
	answer := func(key, value string, received, expires uint64) []byte {
		v := disk.ForeignValue{Key: []byte(key), Value: []byte(value), Received: received, Expires: expires}
		return v.Marshal()
	}
	at := millis(now)
	answers := [][]byte{
		nil,
		[]byte("nonsense"),
		answer("/v/k", "from the future", at+60_000, at+60_000+ttl),
		answer("/v/k", "for ever", at, at+ttl+1),
		answer("/v/k", "expired", at-ttl, at),
		answer("/v/other", "of another key", at, at+ttl),
		answer("/v/k", "older", at-2000, at-2000+ttl),
		answer("/v/k", "newest", at-1500, at-1500+ttl),
		answer("/v/k", "newest", at-1000, at-1000+ttl),
		answer("/v/k", "old", at-1600, at-1600+ttl),
	}
	for range answers {
		best, n := f.newest([]byte("/v/k"), answers)
		if best == nil || string(best.Value) != "newest" || n != 2 || best.Received != at-1000 {
			t.Fatalf("got %+v, %d", best, n)
		}
		answers = append(answers[1:], answers[0])
	}
	provider := func(id string, received, expires uint64) []byte {
		return (&disk.ForeignProvider{ID: id, Received: received, Expires: expires}).Append(nil)
	}
	id := string(peerIDOf(disk.Author{}))
	ttl = uint64(ForeignProviderTTL.Milliseconds())
	list := f.merge([][]byte{
		[]byte("nonsense"), provider("no peer id", at, at+1), provider(id, at-1000, at+1000), provider(id, at-10, at+2000), provider(id, at+60_000, at+60_001),
		provider(id, at, at+ttl+1),
	})
	if len(list) != 1 || string(list[0].ID) != id || !list[0].Expires.Equal(timeOf(at+2000)) || !list[0].Foreign {
		t.Errorf("providers %+v", list)
	}
}

func TestForeignProvidersThatFit(t *testing.T) {
	large := disk.ForeignProvider{Expires: 1}
	for range disk.MaxForeignAddrs {
		large.Addrs = append(large.Addrs, make([]byte, disk.MaxForeignAddr))
	}
	var all []disk.ForeignProvider
	for i := range maxForeignProviders + 10 {
		p := disk.ForeignProvider{ID: fmt.Sprint(i), Expires: 1}
		if i < 2 {
			p.Addrs = large.Addrs
		}
		all = append(all, p)
	}
	got, err := unmarshalForeignProviders(marshalForeignProviders(all))
	if err != nil || len(got) != maxForeignProviders {
		t.Errorf("%d providers, %v; want %d", len(got), err, maxForeignProviders)
	}
	for i := range all {
		all[i].Addrs = large.Addrs
	}
	got, err = unmarshalForeignProviders(marshalForeignProviders(all))
	if err != nil || len(got) == 0 || len(got) >= maxForeignProviders {
		t.Errorf("%d large providers, %v; want as many as fit", len(got), err)
	}
}

func FuzzForeignKey(f *testing.F) {
	f.Add("kad/v/%00k", []byte("/v/k"))
	f.Fuzz(func(t *testing.T, text string, wire []byte) {
		if k, err := parseForeignText(text); err == nil {
			if len(text) > MaxKey || checkKeyText(text) != nil {
				t.Errorf("%q is a foreign key and no key", text)
			}
			if again, err := parseForeignWire(k.wire); err != nil || again.text() != text {
				t.Errorf("%q is %q on the wire, which is written %q, %v", text, k.wire, again.text(), err)
			}
		}
		if k, err := parseForeignWire(wire); err == nil && k.namespace != SignedNamespace {
			if again, err := parseForeignText(k.text()); err != nil || !bytes.Equal(again.wire, wire) {
				t.Errorf("%q is written %q, which is %q, %v", wire, k.text(), again.wire, err)
			}
		}
	})
}

func FuzzForeignMemberMessages(f *testing.F) {
	f.Add((&foreignRequest{op: foreignGet, hash: sha256.Sum256(nil)}).marshal())
	f.Add(marshalForeignProviders([]disk.ForeignProvider{{ID: "a", Expires: 1, Addrs: [][]byte{{1}}}, {ID: "b", Expires: 2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := unmarshalForeignRequest(data); err == nil && !bytes.Equal(r.marshal(), data) {
			t.Errorf("request %x was written as %x", data, r.marshal())
		}
		if p, err := unmarshalForeignProviders(data); err == nil && (len(p) > maxForeignProviders || !bytes.Equal(marshalForeignProviders(p), data)) {
			t.Errorf("%d providers %x were written as %x", len(p), data, marshalForeignProviders(p))
		}
	})
}
