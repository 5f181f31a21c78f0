package pubsub

import (
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// What a neighbour's score leads to (gossipsub v1.1, section "Peer Scoring"). A neighbour begins at 0; only misbehaviour takes it below.
const (
	// gossipScore: below it no gossip is exchanged, publishScore: nothing of this node's own is sent, graylistScore: nothing is taken.
	gossipScore   = -10
	publishScore  = -40
	graylistScore = -80
	// graftScore is the median below which better neighbours are looked for.
	graftScore = 1
	// invalidWeight is what the square of the number of invalid messages costs: three of them silence a peer.
	invalidWeight = -10
	// brokenPromiseWeight is what the square of the number of broken promises over brokenPromises costs: messages that were announced and not sent, and attempts to enter a mesh again too soon.
	brokenPromiseWeight = -10
	brokenPromises      = 6
	// scoreDecay is what is left of a count after a second, half of it after a minute; a count below scoreZero is none.
	scoreDecay = 0.9885
	scoreZero  = 0.01
	// scoreKept is how long the score of a neighbour that went is kept, so that coming anew is no way out.
	scoreKept = 10 * time.Minute
	// firstCap is how many messages delivered first count in a neighbour's favour.
	firstCap = 20
)

// scoreParams returns how neighbours are judged. That many have one address is no reason to suspect them: whole clusters do.
func scoreParams(offences func(peer.ID) float64) (*gossipsub.PeerScoreParams, *gossipsub.PeerScoreThresholds) {
	params := &gossipsub.PeerScoreParams{
		Topics: map[string]*gossipsub.TopicScoreParams{}, AppSpecificScore: func(p peer.ID) float64 { return -offences(p) }, AppSpecificWeight: 1,
		BehaviourPenaltyWeight: brokenPromiseWeight, BehaviourPenaltyThreshold: brokenPromises, BehaviourPenaltyDecay: scoreDecay,
		DecayInterval: time.Second, DecayToZero: scoreZero, RetainScore: scoreKept, SeenMsgTTL: seenFor,
	}
	thresholds := &gossipsub.PeerScoreThresholds{
		GossipThreshold: gossipScore, PublishThreshold: publishScore, GraylistThreshold: graylistScore, OpportunisticGraftThreshold: graftScore,
	}
	return params, thresholds
}

func topicScoreParams() *gossipsub.TopicScoreParams {
	return &gossipsub.TopicScoreParams{
		SkipAtomicValidation: true, TopicWeight: 1,
		TimeInMeshWeight: 0.01, TimeInMeshQuantum: time.Second, TimeInMeshCap: 100,
		FirstMessageDeliveriesWeight: 0.5, FirstMessageDeliveriesDecay: scoreDecay, FirstMessageDeliveriesCap: firstCap,
		InvalidMessageDeliveriesWeight: invalidWeight, InvalidMessageDeliveriesDecay: scoreDecay,
	}
}
