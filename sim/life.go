package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// dialEvery is how often a peer that sees nobody tries the addresses that it was given.
	dialEvery = time.Second
)

// A life is a peer from power on to power off: what the production code keeps in memory.
type life struct {
	peer       *Peer
	host       host.Host
	release    func() error // of the host's QUIC
	membership *routing.Membership
	topics     *pubsub.Service
	ways       *routing.Ways
	store      *records.Store
	metrics    *prometheus.Registry
	joined     chan struct{} // closed once it has met others or takes itself for alone
	down       atomic.Bool   // the power is cut: nobody hears what it says from here on
	cancel     context.CancelFunc
	parts      sync.WaitGroup // what run started

	closing sync.Once
	err     error // of close
}

// newLife opens the parts bottom up, as a node does, and runs them.
func newLife(p *Peer) (_ *life, err error) {
	l := &life{peer: p, metrics: prometheus.NewRegistry(), joined: make(chan struct{}), cancel: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	option, release := overPackets(p.network.packets, p.socket())
	l.release = release
	if l.host, err = swarm.NewHost(swarm.Config{Key: p.key, Network: p.network.id, Listen: []ma.Multiaddr{p.listenAddr()}}, option); err != nil {
		return nil, err
	}
	logger := p.network.cfg.Logger.With("sim", p.name)
	if l.membership, err = routing.NewMembership(routing.Config{
		Host: l.host, Key: p.key, Network: p.network.id, Zone: p.zone, Version: "sim", Remembered: p.remembered, MaxView: p.network.cfg.MaxView, Logger: logger,
	}); err != nil {
		return nil, err
	}
	if l.topics, err = pubsub.New(pubsub.Config{Host: l.host, Network: p.network.id, Logger: logger}); err != nil {
		return nil, err
	}
	if l.ways, err = routing.NewWays(routing.LookupConfig{Membership: l.membership}, l.topics); err != nil {
		return nil, err
	}
	if l.store, err = records.Open(records.Config{
		Host: l.host, Key: p.key, Network: p.network.id, Viewer: l.membership, Dir: "records", FS: p.disk, Copies: p.network.cfg.Copies,
		Now: p.Now, Joined: l.joined, Locator: l.ways.Finder(p.network.cfg.Routing), Registerer: l.metrics, Logger: logger,
	}); err != nil {
		return nil, err
	}
	l.run()
	return l, nil
}

func (l *life) run() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.parts.Go(func() { l.failed("membership", l.membership.Run(ctx)) })
	l.parts.Go(func() { l.failed("publish and subscribe", l.topics.Run(ctx)) })
	l.parts.Go(func() { l.failed("routing", l.ways.Run(ctx)) })
	l.parts.Go(func() { l.failed("record store", l.store.Run(ctx)) })
	l.parts.Go(func() { l.join(ctx) })
	l.parts.Go(func() { l.watchJoining(ctx) })
}

func (l *life) failed(part string, err error) {
	if err != nil && !l.down.Load() {
		l.peer.network.fail(fmt.Errorf("%s: %s: %w", l.peer, part, err))
	}
}

func (l *life) othersAlive() int { return l.membership.View().Count(routing.Alive) - 1 }

// join tries the addresses that the peer was given whenever it sees nobody, until ctx ends.
func (l *life) join(ctx context.Context) {
	for {
		for _, other := range l.peer.bootstrap {
			if l.othersAlive() == 0 && ctx.Err() == nil {
				_ = l.host.Connect(ctx, other) // tried again
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(dialEvery):
		}
	}
}

// watchJoining closes joined when a node would call itself ready.
func (l *life) watchJoining(ctx context.Context) {
	defer func() {
		if ctx.Err() == nil {
			close(l.joined)
		}
	}()
	_ = routing.AwaitJoined(ctx, l.membership, func() bool { return len(l.peer.bootstrap) > 0 || len(l.membership.View().Members) > 1 })
}

// met lists who answered lately, as a node's peer cache does.
func (l *life) met() []peer.AddrInfo {
	var met []peer.AddrInfo
	view := l.membership.View()
	for _, m := range view.Members {
		if m.ID != view.Self && !m.LastSeen.IsZero() && len(m.Addrs) > 0 {
			met = append(met, peer.AddrInfo{ID: m.ID, Addrs: m.Addrs})
		}
	}
	return met
}

// close stops all parts, top down. After a power cut nothing that they do is seen by anybody, and their errors mean nothing.
func (l *life) close() error {
	l.closing.Do(func() {
		l.cancel()
		l.parts.Wait()
		var errs []error
		if l.store != nil {
			errs = append(errs, l.store.Close())
		}
		if l.ways != nil {
			errs = append(errs, l.ways.Close())
		}
		if l.topics != nil {
			errs = append(errs, l.topics.Close())
		}
		if l.membership != nil {
			errs = append(errs, l.membership.Close())
		}
		if l.host != nil {
			errs = append(errs, l.host.Close())
		}
		errs = append(errs, l.release())
		if !l.down.Load() {
			l.err = errors.Join(errs...)
		}
	})
	return l.err
}

// outcome is the error of an operation that has returned: nobody hears the answer of a peer whose power was cut meanwhile.
func (l *life) outcome(err error) error {
	if l.down.Load() {
		return ErrDown
	}
	return err
}

// leave hands everything over and tells the others, before and after.
func (l *life) leave(ctx context.Context) error {
	if err := l.membership.AnnounceLeave(ctx); err != nil {
		return err
	}
	if err := l.store.Leave(ctx, nil); err != nil {
		return err
	}
	return l.membership.AnnounceLeft(ctx)
}
