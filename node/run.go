package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
)

const (
	// joinPatience is how long a node that knows where to find others waits for the first of them before it calls itself ready:
	// it may be the first of them to start.
	joinPatience = 3 * time.Second
	// farewellTimeout bounds the announcement of absence at the end.
	farewellTimeout = time.Second
)

// Run serves until ctx ends, then announces the node's absence, stops every part in order, and closes the node. It
// returns nil after a clean stop, and the first failure when a part failed by itself. A Node runs once.
func (n *Node) Run(ctx context.Context) error {
	withdraw, err := n.publishAPI()
	if err != nil {
		return errors.Join(err, n.Close())
	}
	defer withdraw()
	// The API stops first, so that requests under way still find the network; the network stops after the farewell.
	network, stopNetwork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNetwork()
	parts, network := errgroup.WithContext(network)
	parts.Go(func() error { return named("membership", n.membership.Run(network)) })
	parts.Go(func() error { return named("Kademlia", n.kademlia.Run(network)) })
	parts.Go(func() error { return named("record store", n.store.Run(network)) })
	parts.Go(func() error { return named("discovery", n.connector.Run(network)) })
	parts.Go(func() error { return named("peer cache", n.keepPeerCache(network)) })
	parts.Go(func() error { return n.watchReadiness(network) })

	apiErr := n.serveAPI(ctx, network)
	if network.Err() == nil {
		n.sayFarewell(network)
	}
	stopNetwork()
	return errors.Join(apiErr, parts.Wait(), n.Close())
}

// serveAPI serves until ctx or the network ends; a node without an API just waits.
func (n *Node) serveAPI(ctx, network context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(network, cancel)()
	if n.api == nil {
		<-ctx.Done()
		return nil
	}
	return named("API", n.api.Run(ctx))
}

// publishAPI leaves the API's address in the home, where commands look for it.
func (n *Node) publishAPI() (withdraw func(), err error) {
	if n.api == nil {
		return func() {}, nil
	}
	path := filepath.Join(n.cfg.Home, runningFile)
	doc := runningDocument{URL: n.api.URL(), Token: n.cfg.API.Token, PID: os.Getpid()}
	if err := writeJSON(path, doc); err != nil {
		return nil, fmt.Errorf("leave the API's address in the home: %w", err)
	}
	return func() { os.Remove(path) }, nil
}

func (n *Node) sayFarewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	if err := n.membership.AnnounceAbsence(ctx, n.cfg.AwayGrace); err != nil {
		n.cfg.Logger.Debug("announce absence", "error", err)
	}
}

func named(part string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}

// Ready returns a channel that is closed once the node serves: it runs, and it has met another peer, or knows of none
// to meet, or has waited for one in vain.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// watchReadiness closes ready when its time has come, unless ctx ends before.
func (n *Node) watchReadiness(ctx context.Context) error {
	defer func() {
		if ctx.Err() == nil {
			close(n.ready)
		}
	}()
	patience := time.NewTimer(joinPatience)
	defer patience.Stop()
	for n.expectsPeers() {
		changed := n.membership.Changed()
		if n.othersAlive() > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-patience.C:
			return nil
		case <-changed:
		}
	}
	return nil
}

// expectsPeers tells whether the node was told of others, which mDNS alone does not.
func (n *Node) expectsPeers() bool {
	return len(n.cfg.Bootstrap) > 0 || len(n.cfg.DNS) > 0 || len(n.View().Members) > 1
}

func (n *Node) othersAlive() int {
	return n.View().Count(routing.Alive) - 1
}

// readyError returns nil once the node is ready, and why not before.
func (n *Node) readyError() error {
	select {
	case <-n.ready:
		return nil
	default:
		return fault.New(fault.Unavailable, "the node is looking for the first of its peers")
	}
}
