package records

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// What an expelled author wrote after it was expelled is refused and removed; what it wrote before stays. Who brings it is not blamed: it may not have heard of it.
func TestExpelledAuthors(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	h := newHolder(t, now)
	me, unknown := newIdentity(t), newIdentity(t)
	cutOff := now.Add(time.Hour) // not yet
	h.author = func(p peer.ID, written time.Time) error {
		switch {
		case p == unknown.id:
			return fault.New(fault.Unavailable, "not known yet")
		case written.After(cutOff):
			return fault.New(fault.Forbidden, "expelled")
		}
		return nil
	}
	put := func(by identity, key string, at time.Duration) (response, []byte) {
		envelope := sealed(t, h.records, by, key, payload{time: timestampOf(now.Add(at)), value: []byte("v")})
		return h.exchange(t, request{op: opPut, envelope: envelope}), envelope
	}
	if r, _ := put(me, "before", -time.Minute); r.status != statusOK {
		t.Fatalf("a member's record: %+v", r)
	}
	if r, _ := put(me, "after", time.Second); r.status != statusOK {
		t.Fatalf("a member's record: %+v", r)
	}
	if r, _ := put(unknown, "unknown", 0); r.status != statusRefused || r.kind != fault.Unavailable {
		t.Errorf("an author who is not known yet: %+v", r)
	}
	cutOff = now
	r, envelope := put(me, "later", time.Second)
	if r.status != statusRefused || r.kind != fault.Forbidden {
		t.Errorf("after it was expelled: %+v", r)
	}
	if isForged(h.records, envelope) {
		t.Error("who brings it is blamed for forging it")
	}
	resp := h.exchange(t, request{op: opStore, repair: &repairRequest{envelopes: [][]byte{envelope}}})
	if o := resp.repair.outcomes[0]; o.status != statusRefused || o.kind != fault.Forbidden {
		t.Errorf("brought by a repair: %+v", o)
	}
	for want := 1; want >= 0; want-- {
		if removed, err := h.disown(t.Context()); err != nil || removed != want {
			t.Errorf("removed %d, %v; want %d", removed, err, want)
		}
	}
	for key, want := range map[string]bool{"before": true, "after": false, "later": false} {
		if _, found, err := h.disk.Head(mustKey(t, key).hash()); err != nil || found != want {
			t.Errorf("%s is there: %t, %v", key, found, err)
		}
	}
}
