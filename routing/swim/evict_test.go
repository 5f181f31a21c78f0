package swim

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Who is evicted is forgotten at once, whatever is under way, and others are left alone.
func TestEvict(t *testing.T) {
	r := newRig(t)
	r.admit("a", "b", "c")
	r.m.ConnectionLost(r.now, "a") // a probe is under way
	probe := take[Probe](r)[0]
	r.m.Receive(r.now, "b", Message{Claims: []*Claim{claim("d", 1)}}) // a candidate
	r.m.Actions()
	r.m.Evict(r.now, func(id peer.ID) bool { return id == "b" || id == "c" })
	if got := take[Forgotten](r); len(got) != 1 || got[0].ID != "a" {
		t.Errorf("forgotten are %v", got)
	}
	r.m.Answered(r.now, probe.ID, time.Millisecond)
	r.silence(r.m.t.HearsayPause)
	for _, p := range take[Probe](r) {
		if p.Target == "a" || p.Target == "d" {
			t.Errorf("%s, who was evicted, is probed", p.Target)
		}
	}
	r.want("a", 0)
	r.want("d", 0)
	r.want("b", Alive)
	if r.m.Len() != 2 {
		t.Errorf("%d members, want 2", r.m.Len())
	}
}
