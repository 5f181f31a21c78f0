package nat

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// unreachable returns two relays and a host that can't be reached and is connected to both; the first relay is the one it is told of.
func unreachable(t *testing.T) (s *side, relays [2]*side) {
	t.Helper()
	s = newSide(t, Config{Relay: ServeNever})
	s.judge.now = Verdict{State: Unreachable}
	for i := range relays {
		relays[i] = newSide(t, Config{Relay: ServeAlways})
		relays[i].peers.add(s.ID())
		if err := s.Connect(t.Context(), relays[i].info()); err != nil {
			t.Fatal(err)
		}
	}
	s.offered(relays[0])
	s.reserve.scan(t.Context())
	if !slices.Equal(s.reserve.relays(), []peer.ID{relays[0].ID()}) || len(s.reserve.addrs()) == 0 {
		t.Fatalf("places at %v, addresses %v", s.reserve.relays(), s.reserve.addrs())
	}
	return s, relays
}

// offered has s told of relays, at addresses that others could dial.
func (s *side) offered(relays ...*side) {
	s.peers.relays = nil
	for _, r := range relays {
		s.peers.relays = append(s.peers.relays, peer.AddrInfo{ID: r.ID(), Addrs: addrsOf("/ip4/20.0.0.1/tcp/1")})
	}
}

// A relay that ends its service and stays connected is given up for another.
func TestARelayThatEndsItsService(t *testing.T) {
	s, relays := unreachable(t)
	if err := relays[0].relay.serve(false); err != nil {
		t.Fatal(err)
	}
	s.offered(relays[1])
	eventually(t, "the other relay alone is used", func() bool {
		s.reserve.scan(t.Context())
		return slices.Equal(s.reserve.relays(), []peer.ID{relays[1].ID()})
	})
}

// A relay forgets the node when their connection ends; the place is taken again when they have met again, however soon that is.
func TestARelayThatIsMetAgain(t *testing.T) {
	s, relays := unreachable(t)
	places := func() int { return relays[0].Status().Relaying.Reservations }
	before := directConn(s.Network(), relays[0].ID())
	_ = relays[0].Network().ClosePeer(s.ID())
	eventually(t, "both know that they have parted", func() bool { return places() == 0 && before.IsClosed() })
	eventually(t, "they have met again", func() bool {
		return s.Connect(t.Context(), relays[0].info()) == nil && directConn(s.Network(), relays[0].ID()) != nil
	})
	s.reserve.scan(t.Context())
	if places() != 1 {
		t.Error("the node has no place, and believes it has")
	}
}
