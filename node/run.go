package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// farewellTimeout bounds the announcement of absence at the end.
const farewellTimeout = time.Second

// ErrCutOff is the cause of a context's end that has Run end as if the process had been killed, as far as others can tell.
var ErrCutOff = errors.New("the node is cut off")

// Run serves until ctx ends, then announces the node's absence, stops every part in order, and closes the node. It
// returns nil after a clean stop and after a complete Leave, and the first failure when a part failed by itself. A Node runs once.
//
// Where ctx ends with the cause ErrCutOff nothing is announced: connections break at once, and others find out. What was acknowledged is on the disk, which is closed as ever.
func (n *Node) Run(ctx context.Context) error {
	withdraw, err := n.publishAPI()
	if err != nil {
		return errors.Join(err, n.Close())
	}
	defer withdraw()
	outer := ctx
	defer n.cutOffWith(outer)()
	// The API stops first, so that requests under way still find the network; the network stops after the farewell.
	network, stopNetwork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNetwork()
	parts, network := errgroup.WithContext(network)
	parts.Go(func() error { return named("membership", n.membership.Run(network)) })
	parts.Go(func() error { return named("NAT traversal", n.nat.Run(network)) })
	parts.Go(func() error { return named("Kademlia", n.kademlia.Run(network)) })
	parts.Go(func() error { return named("publish and subscribe", n.topics.Run(network)) })
	parts.Go(func() error { return named("routing", n.ways.Run(network)) })
	parts.Go(func() error { return named("record store", n.store.Run(network)) })
	if n.ledger != nil {
		parts.Go(func() error { return named("ledger", n.ledger.Run(network)) })
	}
	if n.members != nil {
		parts.Go(func() error { return n.members.follower.Run(network) })
		parts.Go(func() error { return n.enforceMembers(network) })
		parts.Go(func() error { return n.disownFormer(network) })
		parts.Go(func() error { return n.heedRefusals(network) })
		parts.Go(func() error { return n.findMembers(network) })
	}
	if n.enrolment != nil {
		parts.Go(func() error { return named("validators", n.enrolment.Run(network)) })
		if n.members != nil && len(n.cfg.Validator.MembersSecret) > 0 {
			parts.Go(func() error { return n.keepInvite(network) })
		}
	}
	parts.Go(func() error { return named("discovery", n.connector.Run(network)) })
	parts.Go(func() error { return named("peer cache", n.keepPeerCache(network)) })
	parts.Go(func() error { return n.watchReadiness(network) })
	parts.Go(func() error { return n.feed.Run(network) })
	ctx, stopServing := context.WithCancel(ctx)
	defer stopServing()
	var departing sync.WaitGroup
	departing.Go(func() { n.depart(ctx, stopServing) })

	apiErr := n.serveAPI(ctx, network)
	stopServing()
	departing.Wait()
	if network.Err() == nil && !n.hasLeft() && !isCutOff(outer) {
		n.sayFarewell(network)
	}
	stopNetwork()
	return errors.Join(apiErr, parts.Wait(), n.Close(), n.departureError())
}

func isCutOff(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrCutOff) }

// cutOffWith breaks all connections when ctx ends with the cause ErrCutOff. The function that it returns ends the waiting for that, and waits for what has begun.
func (n *Node) cutOffWith(ctx context.Context) (end func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		if !isCutOff(ctx) {
			return
		}
		if n.api != nil {
			_ = n.api.Close()
		}
		_ = n.host.Close()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

func (n *Node) sayFarewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	if err := n.membership.AnnounceAbsence(ctx, n.cfg.AwayGrace); err != nil {
		n.cfg.Logger.Debug("announce absence", "error", err)
		return
	}
	n.store.Announced(n.cfg.AwayGrace)
}

func named(part string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}
