//go:build sim

package consensus

import (
	"testing"
	"time"
)

// TestFullSizeJoin: at block 10,000 a node joins by all blocks and one by the state, and both come to the same. The log says what each took.
func TestFullSizeJoin(t *testing.T) {
	const height = 10_000
	n := newChainNet(t, 1000)
	n.beat = time.Millisecond
	v := n.node(Sync{Mode: Blocks})
	v.signer = n.signer
	v.start()
	began := time.Now()
	for end := began.Add(30 * time.Minute); v.store.Tip().Height < height+2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) || v.engine.Status().Failure != nil {
			t.Fatalf("the chain is at block %d: %v", v.store.Tip().Height, v.engine.Health())
		}
	}
	t.Logf("%d blocks made in %s", height, time.Since(began).Round(time.Second))
	v.halt()
	n.beat = 3 * time.Second
	v.start()
	for _, mode := range []Mode{State, Auto, Blocks} {
		late := n.node(Sync{Mode: mode})
		began := time.Now()
		late.start()
		for end := began.Add(30 * time.Minute); late.store.Tip().Height < height; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) || late.engine.Status().Failure != nil {
				t.Fatalf("%s: %s", mode, late.status())
			}
		}
		t.Logf("%s: block %d after %s, the lowest block that is there is %d", mode, late.store.Tip().Height, time.Since(began).Round(100*time.Millisecond), late.engine.Status().Base)
		late.like(v)
		if base := late.engine.Status().Base; base != 0 && base <= 1 != (mode == Blocks) {
			t.Errorf("%s: the lowest block is %d", mode, base)
		}
		late.halt()
	}
}
