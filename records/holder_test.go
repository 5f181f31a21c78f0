package records

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
	"github.com/folkmoot/folkmoot/routing"
)

// newHolder returns a holder with a disk in memory and a clock that stands still.
func newHolder(t *testing.T, now time.Time) *holder {
	t.Helper()
	d, err := disk.Open(disk.Config{Dir: "records", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	clock := func() time.Time { return now }
	layout := newTopology(&routing.View{Self: "self", Members: []routing.Member{{ID: "self", State: routing.Alive}}}, DefaultCopies, nil)
	standing := &table{self: "self"}
	return &holder{
		table: standing, vigil: newVigil(standing, clock), hints: newHints(layout.place),
		disk: d, now: clock, clock: newClock(clock, 0, func(context.Context, Timestamp) error { return nil }),
		records: testSigner("test/record"), offers: &signer{domain: "test/provider", payloadType: providerType},
	}
}

func (h *holder) exchange(t *testing.T, req request) response {
	t.Helper()
	data, err := h.serve(t.Context(), "somebody", req.marshal())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := unmarshalResponse(req.op, data)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestHolder(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	h := newHolder(t, now)
	me := newIdentity(t)
	at := func(d time.Duration) Timestamp { return timestampOf(now.Add(d)) }
	hash := mustKey(t, "key").hash()
	put := func(p payload) response {
		return h.exchange(t, request{op: opPut, envelope: sealed(t, h.records, me, "key", p)})
	}

	if r := h.exchange(t, request{op: opGet, hash: hash}); r.status != statusNone {
		t.Errorf("get of nothing: %+v", r)
	}
	if r := put(payload{time: at(0), value: []byte("value")}); r.status != statusOK {
		t.Errorf("put: %+v", r)
	}
	if r := put(payload{time: at(0), value: []byte("value")}); r.status != statusOK {
		t.Errorf("the same again: %+v", r)
	}
	if r := put(payload{time: at(-time.Second)}); r.status != statusNewer || versionOf(r.rank).Time != at(0) {
		t.Errorf("put of an older version: %+v", r)
	}
	r := h.exchange(t, request{op: opGet, hash: hash})
	if rec, err := h.records.open(r.envelope, false); err != nil || string(rec.value) != "value" {
		t.Errorf("get: %+v, %v", r, err)
	}
	if r := h.exchange(t, request{op: opGetVersion, hash: hash}); r.status != statusOK || versionOf(r.rank).Time != at(0) {
		t.Errorf("get of the version: %+v", r)
	}
	for what, c := range map[string]struct {
		p    payload
		want fault.Kind
	}{
		"31s ahead":         {payload{time: at(31 * time.Second)}, fault.Unavailable},
		"expired long ago":  {payload{time: at(-20 * 24 * time.Hour), expires: millis(now.Add(-8 * 24 * time.Hour))}, fault.Invalid},
		"expired too early": {payload{time: at(0), expires: 1}, fault.Invalid},
	} {
		if r := put(c.p); r.status != statusRefused || r.kind != c.want {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if r := put(payload{time: at(29 * time.Second), deleted: true}); r.status != statusOK {
		t.Errorf("29s ahead: %+v", r)
	}
	if stamp, err := h.clock.next(t.Context()); err != nil || stamp <= at(29*time.Second) {
		t.Errorf("the clock did not merge what it saw: %d, %v", stamp, err)
	}
	if r := h.exchange(t, request{op: opList, limit: 5}); len(r.heads) != 1 || !r.heads[0].Deleted {
		t.Errorf("list: %+v", r)
	}
}

func mustKey(t *testing.T, text string) Key {
	t.Helper()
	k, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestHolderRefusesForgedProviders(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	h := newHolder(t, now)
	me, other := newIdentity(t), newIdentity(t)
	hash := mustKey(t, "file").hash()
	good := offer{hash: hash, time: timestampOf(now), expires: millis(now.Add(ProviderTTL))}
	seal := func(s *signer, o offer) []byte {
		signed, err := sealOffer(s, me.key, me.author, o)
		if err != nil {
			t.Fatal(err)
		}
		return signed.envelope
	}
	stolen := slices.Clone(seal(h.offers, good))
	copy(stolen[len(envelopeKey):], other.author[:])
	long := good
	long.expires++
	old := offer{hash: hash, time: timestampOf(now.Add(-25 * time.Hour)), expires: millis(now.Add(-time.Hour))}
	early := offer{hash: hash, time: timestampOf(now.Add(time.Minute)), expires: millis(now.Add(time.Hour))}
	for what, c := range map[string]struct {
		envelope []byte
		want     fault.Kind
	}{
		"another's name":  {stolen, fault.Invalid},
		"another network": {seal(&signer{domain: "other/provider", payloadType: providerType}, good), fault.Invalid},
		"a record":        {sealed(t, h.records, me, "file", payload{time: 1}), fault.Invalid},
		"lives too long":  {seal(h.offers, long), fault.Invalid},
		"expired":         {seal(h.offers, old), fault.Invalid},
		"from the future": {seal(h.offers, early), fault.Unavailable},
	} {
		if r := h.exchange(t, request{op: opPutProvider, envelope: c.envelope}); r.status != statusRefused || r.kind != c.want {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if r := h.exchange(t, request{op: opPutProvider, envelope: seal(h.offers, good)}); r.status != statusOK {
		t.Errorf("good: %+v", r)
	}
	if r := h.exchange(t, request{op: opGetProviders, hash: hash}); len(r.envelopes) != 1 {
		t.Errorf("providers: %+v", r)
	}
}

func TestMalformedRequestsAreMisbehaviour(t *testing.T) {
	h := newHolder(t, time.UnixMilli(1_700_000_000_000))
	for what, data := range map[string][]byte{
		"empty":           {},
		"unknown op":      {99},
		"no envelope":     {byte(opPut)},
		"short hash":      {byte(opGet), 1, 2},
		"trailing bytes":  append((&request{op: opGet}).marshal(), 0),
		"no limit":        (&request{op: opList}).marshal(),
		"large limit":     (&request{op: opList, limit: maxPage + 1}).marshal(),
		"long prefix":     (&request{op: opList, limit: 1, prefix: strings.Repeat("x", MaxKey+1)}).marshal(),
		"large provider":  append([]byte{byte(opPutProvider)}, make([]byte, maxProviderEnvelope+1)...),
		"large record":    append([]byte{byte(opPut)}, make([]byte, maxEnvelope+1)...),
		"endless message": make([]byte, maxMessage+1),
	} {
		if resp, err := h.serve(t.Context(), "somebody", data); err == nil {
			t.Errorf("%s: answered %x", what, resp)
		}
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	r := refusal(fault.New(fault.Invalid, "%s", strings.Repeat("ä", maxReason)+"\xff"))
	got, err := unmarshalResponse(opPut, r.marshal(opPut))
	if err != nil || got.kind != fault.Invalid || len(got.reason) > maxReason || len(got.reason) < maxReason-1 {
		t.Errorf("%d bytes of reason, %v", len(got.reason), err)
	}
}
