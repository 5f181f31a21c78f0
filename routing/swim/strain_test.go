package swim

import "testing"

func TestStrainedNodeDoesLess(t *testing.T) {
	r := newRig(t, &Claim{ID: "gone"})
	r.admit("a", "b", "c", "d")
	r.silence(4 * r.m.t.Absent)
	calm := 0
	for _, p := range take[Probe](r) {
		if p.Target == "gone" {
			calm++
		}
	}
	r.now = r.now.Add(r.m.t.Period + r.m.t.LateTick)
	r.m.Tick(r.now)
	if !r.m.strained() || r.m.health == 0 {
		t.Fatal("a late tick went unnoticed")
	}
	r.m.Actions()
	r.silence(4 * r.m.t.Absent)
	strained := 0
	for _, a := range r.m.Actions() {
		switch a := a.(type) {
		case Probe:
			if a.Target == "gone" {
				strained++
			}
		case Disconnect:
			t.Error("a strained node closes connections")
		}
	}
	if calm < 3 || strained > 2 {
		t.Errorf("the dead peer was probed %d times, and %d times under strain", calm, strained)
	}
	r.silence(r.m.t.Strained)
	if r.m.strained() {
		t.Error("the strain does not end")
	}
}
