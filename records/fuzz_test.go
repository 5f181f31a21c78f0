package records

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/folkmoot/folkmoot/records/disk"
)

func FuzzEnvelope(f *testing.F) {
	me := newIdentity(f)
	s := testSigner("domain")
	f.Add(sealed(f, s, me, "key", payload{time: 1, value: []byte("value")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnvelope(data, recordType)
		if err != nil {
			return
		}
		// The encoding is canonical: the parts determine every byte.
		again, err := s.signer.seal(me.key, disk.Author(e.author), e.payload)
		if err != nil {
			t.Fatal(err)
		}
		copy(again[len(again)-len(e.signature):], e.signature)
		if !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add((&payload{time: 1, expires: 2, key: []byte("k"), value: []byte("v")}).marshal())
	f.Add((&payload{deleted: true, key: []byte("k")}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := unmarshalPayload(data)
		if err != nil {
			return
		}
		if len(p.key) > MaxKey || len(p.value) > MaxValue || p.deleted && len(p.value) > 0 {
			t.Errorf("out of bounds: %+v", p)
		}
		if again := p.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzOpenRecord(f *testing.F) {
	me := newIdentity(f)
	s := testSigner("domain")
	f.Add(sealed(f, s, me, "own/"+me.id.String()+"/k", payload{time: 1 << 20, expires: 1 << 30, value: []byte("value")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := s.open(data, true) // the fuzzer can't sign
		if err != nil {
			return
		}
		if _, err := ParseKey(rec.head.Key); err != nil {
			t.Errorf("key %q: %v", rec.head.Key, err)
		}
		if int(rec.head.Size) != len(rec.value) || !bytes.Equal(rec.envelope, data) {
			t.Errorf("head %+v of %d bytes", rec.head, len(rec.value))
		}
	})
}

func FuzzOffer(f *testing.F) {
	f.Add((&offer{hash: disk.Hash{1}, time: 5 << counterBits, expires: 1000}).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := unmarshalOffer(data)
		if err != nil {
			return
		}
		if o.expires > millis(o.time.Time())+uint64(ProviderTTL.Milliseconds()) {
			t.Errorf("lives too long: %+v", o)
		}
		if again := o.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzRequest(f *testing.F) {
	for _, r := range []request{
		{op: opPut, envelope: []byte("e")}, {op: opPutProvider, envelope: []byte("e")},
		{op: opGet}, {op: opGetVersion}, {op: opGetProviders}, {op: opList, limit: 7, prefix: "a", after: "b"},
	} {
		f.Add(r.marshal())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := unmarshalRequest(data)
		if err != nil {
			return
		}
		if len(r.envelope) > maxEnvelope || r.op == opList && (r.limit < 1 || r.limit > maxPage) || len(r.prefix) > MaxKey || len(r.after) > MaxKey {
			t.Errorf("out of bounds: %+v", r)
		}
		if again := r.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

func FuzzResponse(f *testing.F) {
	head := disk.Head{Key: "a", Rank: disk.Rank{1}, Expires: 3, Size: 4}
	next := disk.Head{Key: "b", Deleted: true}
	for to, r := range map[op]response{
		opPut: {status: statusNewer}, opGet: {status: statusOK, envelope: []byte("e")}, opGetVersion: {status: statusOK},
		opList: {status: statusOK, more: true, heads: []disk.Head{head, next}}, opGetProviders: {status: statusOK, envelopes: [][]byte{{1}, {2}}},
		opPutProvider: {status: statusRefused, kind: 3, reason: "no"},
	} {
		f.Add(uint8(to), r.marshal(to))
	}
	f.Add(uint8(opGet), (&response{status: statusNone}).marshal(opGet))
	f.Fuzz(func(t *testing.T, to uint8, data []byte) {
		r, err := unmarshalResponse(op(to), data)
		if err != nil {
			return
		}
		if len(r.heads) > maxPage || len(r.envelopes) > disk.MaxProviders || len(r.reason) > maxReason || !utf8.ValidString(r.reason) || r.more && len(r.heads) == 0 {
			t.Errorf("out of bounds: %+v", r)
		}
		for i := range r.heads {
			if checkKeyText(r.heads[i].Key) != nil || i > 0 && r.heads[i].Key <= r.heads[i-1].Key {
				t.Errorf("key %q", r.heads[i].Key)
			}
		}
		if again := r.marshal(op(to)); !bytes.Equal(again, data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}
