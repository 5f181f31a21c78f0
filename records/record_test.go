package records

import (
	"bytes"
	"crypto/rand"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// rawRecord is a libp2p record with any content.
type rawRecord struct {
	domain, codec string
	payload       []byte
}

func (r *rawRecord) Domain() string                 { return r.domain }
func (r *rawRecord) Codec() []byte                  { return []byte(r.codec) }
func (r *rawRecord) MarshalRecord() ([]byte, error) { return r.payload, nil }
func (r *rawRecord) UnmarshalRecord(b []byte) error { r.payload = b; return nil }

type identity struct {
	key    crypto.PrivKey
	author disk.Author
	id     peer.ID
}

func newIdentity(t testing.TB) identity {
	key, public, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := public.Raw()
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return identity{key, disk.Author(raw), id}
}

func testSigner(domain string) *recordSigner {
	return &recordSigner{signer: signer{domain: domain, payloadType: recordType}}
}

// TestEnvelopesAreLibp2ps checks our reading and writing of envelopes against libp2p's.
func TestEnvelopesAreLibp2ps(t *testing.T) {
	me := newIdentity(t)
	if got := peerIDOf(me.author); got != me.id {
		t.Fatalf("peer id %s, want %s", got, me.id)
	}
	s := testSigner("domain")
	for _, size := range []int{1, 127, 128, 16383, 16384, MaxValue} {
		payload := bytes.Repeat([]byte{7}, size)
		ours, err := s.signer.seal(me.key, me.author, payload)
		if err != nil {
			t.Fatal(err)
		}
		e, err := record.Seal(&rawRecord{"domain", recordType, payload}, me.key)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Fatalf("%d bytes: libp2p seals otherwise:\n%.200x\n%.200x", size, ours, theirs)
		}
		var got rawRecord
		got.domain = "domain"
		if _, err := record.ConsumeTypedEnvelope(ours, &got); err != nil || !bytes.Equal(got.payload, payload) {
			t.Fatalf("%d bytes: libp2p can't open it: %v", size, err)
		}
		parsed, err := parseEnvelope(theirs, recordType)
		if err != nil || !bytes.Equal(parsed.payload, payload) || s.verify(&parsed) != nil {
			t.Fatalf("%d bytes: we can't open libp2p's: %v", size, err)
		}
	}
}

func sealed(t testing.TB, s *recordSigner, me identity, text string, p payload) []byte {
	t.Helper()
	p.key = []byte(text)
	data, err := s.signer.seal(me.key, me.author, p.marshal())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOpenRecord(t *testing.T) {
	me, other := newIdentity(t), newIdentity(t)
	s := testSigner("folkmoot/net/record")
	good := sealed(t, s, me, "key", payload{time: 5 << counterBits, expires: 9, value: []byte("value")})
	rec, err := s.open(good, false)
	if err != nil {
		t.Fatal(err)
	}
	r := rec.record()
	if r.Key != "key" || string(r.Value) != "value" || r.Author != me.id || r.Version.Time != 5<<counterBits || r.Expires.UnixMilli() != 9 || r.Deleted {
		t.Errorf("record = %+v", r)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)-1] ^= 1
	stolen := slices.Clone(good)
	copy(stolen[len(envelopeKey):], other.author[:])
	changed := bytes.Replace(good, []byte("value"), []byte("VALUE"), 1)
	digest := "sha256/cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619" // of "value"
	for _, c := range []struct {
		what string
		data []byte
		want fault.Kind
	}{
		{"flipped signature", flipped, fault.Invalid},
		{"another's key", stolen, fault.Invalid},
		{"changed value", changed, fault.Invalid},
		{"another network", sealed(t, testSigner("folkmoot/other/record"), me, "key", payload{time: 1}), fault.Invalid},
		{"another payload type", bytes.Replace(good, []byte(recordType), []byte("/folkmoot/recorD"), 1), fault.Invalid},
		{"trailing byte", append(slices.Clone(good), 0), fault.Invalid},
		{"nothing", nil, fault.Invalid},
		{"too large", make([]byte, maxEnvelope+1), fault.TooLarge},
		{"bad key", sealed(t, s, me, "a\nb", payload{time: 1}), fault.Invalid},
		{"another's own/", sealed(t, s, other, "own/"+me.id.String()+"/x", payload{time: 1}), fault.Forbidden},
		{"wrong digest", sealed(t, s, me, digest, payload{time: 1, value: []byte("other")}), fault.Invalid},
		{"kad/", sealed(t, s, me, "kad/x", payload{time: 1}), fault.Forbidden},
		{"expired before it was written", sealed(t, s, me, "key", payload{time: 5 << counterBits, expires: 4}), fault.Invalid},
		{"tombstone with a value", sealed(t, s, me, "key", payload{deleted: true, value: []byte("v")}), fault.Invalid},
		{"large value", sealed(t, s, me, "key", payload{value: make([]byte, MaxValue+1)}), fault.Invalid},
		{"long key", sealed(t, s, me, strings.Repeat("k", MaxKey+1), payload{}), fault.Invalid},
	} {
		for range 2 { // the second time from what is remembered
			if _, err := s.open(c.data, false); err == nil || fault.KindOf(err) != c.want {
				t.Errorf("%s: %v (%s), want %s", c.what, err, fault.KindOf(err), c.want)
			}
		}
	}
	for what, data := range map[string][]byte{
		"own/":      sealed(t, s, me, "own/"+me.id.String()+"/x", payload{time: 1}),
		"digest":    sealed(t, s, me, digest, payload{time: 1, value: []byte("value")}),
		"tombstone": sealed(t, s, me, digest, payload{time: 1, deleted: true}),
		"largest":   sealed(t, s, me, strings.Repeat("k", MaxKey), payload{time: math.MaxUint64, value: make([]byte, MaxValue)}),
	} {
		if _, err := s.open(data, false); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRSAKeysAreRefused(t *testing.T) {
	key, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := payload{time: 1, key: []byte("key")}
	e, err := record.Seal(&rawRecord{"domain", recordType, p.marshal()}, key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testSigner("domain").open(data, false); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a record signed with RSA: %v", err)
	}
}

func BenchmarkOpenRecord(b *testing.B) {
	me := newIdentity(b)
	s := testSigner("domain")
	data := sealed(b, s, me, "key", payload{time: 1, value: make([]byte, 1024)})
	b.Run("checked", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			clear(s.verified.slots[:])
			if _, err := s.open(data, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := s.open(data, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("libp2p", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := record.ConsumeTypedEnvelope(data, &rawRecord{domain: "domain"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
