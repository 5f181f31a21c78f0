package routing

import (
	"math"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/routing/swim"
)

// RumoursOfDeath is a message that says of up to swim.MaxRumours peers that they are dead, as if the speaker had found that out.
func RumoursOfDeath(of []peer.ID) ([]byte, error) {
	g := gossip{Incarnation: 1}
	for _, id := range of {
		g.Rumours = append(g.Rumours, swim.Rumour{Subject: id, Incarnation: math.MaxInt64, Verdict: swim.Dead, Own: true})
	}
	return encodeRequest(kindPing, &g)
}
