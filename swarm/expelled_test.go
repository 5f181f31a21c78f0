package swarm

import (
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// fickle is a gate that admits each peer as often as it says.
type fickle struct {
	mu    sync.Mutex
	asked map[peer.ID]int // guarded by mu
	times int
}

func (f *fickle) AdmitPeer(p peer.ID, _ ma.Multiaddr, _ network.Direction) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked[p]++; f.asked[p] > f.times {
		return errNobody
	}
	return nil
}

// Who is expelled while its connection is being made has none: those who close the connections of the expelled may have looked before it was there.
func TestExpelledWhileConnecting(t *testing.T) {
	// Without a reception, the gate is asked once on the way in.
	b := newHost(t, Config{Gate: &fickle{asked: make(map[peer.ID]int), times: 1}}, transports["tcp"])
	a := newHost(t, Config{}, transports["tcp"])
	if err := a.Connect(t.Context(), info(b)); err != nil {
		t.Log(err) // it may have been closed already
	}
	for deadline := time.Now().Add(5 * time.Second); len(a.Network().ConnsToPeer(b.ID()))+len(b.Network().ConnsToPeer(a.ID())) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is connected")
		}
	}
}
