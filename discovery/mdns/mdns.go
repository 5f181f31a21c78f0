// Package mdns finds the peers of the node's network on the same link by multicast DNS (RFC 6762): other containers of
// one pod, other processes of one machine, other machines of one network segment. It speaks libp2p's form of it, DNS service discovery
// with a dnsaddr attribute for each address (https://github.com/libp2p/specs/blob/master/discovery/mdns.md), under a
// service name of the network's own.
//
// A host that listens on 127.0.0.1 only is found by other processes of its machine, also while the machine has no
// network: the loopback interface takes part. Neighbours on the link hear of it too and can't reach it; they find another
// peer or nobody at their own 127.0.0.1, and back off. A host with any other address does not announce those of loopback.
package mdns

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// CheckInterval is how often the interfaces and addresses are looked at; the host's own news of them is followed at once.
	CheckInterval = 10 * time.Second
	// RetryBase and RetryLimit bound the growing time between attempts to use a link that fails.
	RetryBase  = time.Second
	RetryLimit = time.Minute
	// MaxPeersPerBrowse is how many answers are taken before browsing starts anew, which forgets what was heard. With
	// the growing pause before it, that bounds what a flood can cost.
	MaxPeersPerBrowse = 2048
)

// Config says who finds whom.
type Config struct {
	// Host is announced, and never reported.
	Host host.Host
	// Network is the one whose peers are found.
	Network swarm.NetworkID
	// Logger may be nil.
	Logger *slog.Logger
}

// Finder announces the host and reports those that announce themselves.
type Finder struct {
	host    host.Host
	service string
	log     *slog.Logger
	link    link
}

// New returns a finder on the machine's interfaces.
func New(cfg Config) (*Finder, error) {
	if cfg.Host == nil {
		return nil, fault.New(fault.Invalid, "mdns: no host")
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Finder{host: cfg.Host, service: cfg.Network.MDNSService(), log: log, link: multicast{}}, nil
}

// Name returns "mdns".
func (f *Finder) Name() string { return "mdns" }

// Find announces the host and reports others until ctx ends, each again about every RecordTTL while it answers; see
// discovery.Finder. A machine without a usable interface is watched until it has one.
func (f *Finder) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	changes, err := f.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("follow the host's addresses: %w", err)
	}
	defer changes.Close()
	for ctx.Err() == nil {
		f.session(ctx, changes.Out(), f.observe(), found)
	}
	return nil
}

// surroundings are what a session depends on.
type surroundings struct {
	interfaces []net.Interface
	addrs      []ma.Multiaddr
}

func (s surroundings) equal(o surroundings) bool {
	return slices.EqualFunc(s.interfaces, o.interfaces, func(a, b net.Interface) bool {
		return a.Index == b.Index && a.Name == b.Name && a.Flags == b.Flags
	}) && slices.EqualFunc(s.addrs, o.addrs, ma.Multiaddr.Equal)
}

func (f *Finder) observe() surroundings {
	interfaces, err := f.link.Interfaces()
	if err != nil {
		f.log.Debug("can't list the interfaces", "error", err)
	}
	addrs, err := f.host.Network().InterfaceListenAddresses()
	if err != nil {
		f.log.Debug("can't list the listen addresses", "error", err)
	}
	return surroundings{interfaces, announceable(addrs)}
}

// session announces and browses until the surroundings are no longer s or ctx ends.
func (f *Finder) session(ctx context.Context, changes <-chan any, s surroundings, found func(peer.AddrInfo)) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if len(s.interfaces) == 0 {
		f.log.Debug("no interface for mDNS; waiting for one")
		f.awaitChange(ctx, changes, s)
		return
	}
	if len(s.addrs) > 0 {
		wg.Go(func() { f.announce(ctx, s) })
	}
	wg.Go(func() { f.browse(ctx, s, ipv4, found) })
	wg.Go(func() { f.browse(ctx, s, ipv6, found) })
	f.awaitChange(ctx, changes, s)
}

func (f *Finder) announce(ctx context.Context, s surroundings) {
	a := announcement{Service: f.service, Texts: texts(f.host.ID(), s.addrs), Addrs: s.addrs, Interfaces: s.interfaces}
	f.persist(ctx, "announce", func() error { return f.link.Announce(ctx, a) })
}

func (f *Finder) browse(ctx context.Context, s surroundings, of family, found func(peer.AddrInfo)) {
	q := query{Service: f.service, Family: of, Interfaces: s.interfaces}
	f.persist(ctx, "browse "+of.String(), func() error {
		return f.link.Browse(ctx, q, func(texts []string) { f.heard(ctx, texts, found) })
	})
}

// awaitChange returns when the surroundings are no longer s or ctx ends.
func (f *Finder) awaitChange(ctx context.Context, changes <-chan any, s surroundings) {
	check := time.NewTicker(CheckInterval)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-changes:
			if !open {
				changes = nil // the host is closing
			}
		case <-check.C:
		}
		if !f.observe().equal(s) {
			return
		}
	}
}

// persist runs a part of a session again whenever it ends, until ctx ends.
func (f *Finder) persist(ctx context.Context, what string, run func() error) {
	retry := backoff.Backoff{Base: RetryBase, Limit: RetryLimit}
	for {
		start := time.Now()
		err := run()
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > RetryLimit {
			retry.Reset()
		}
		pause := retry.Next()
		f.log.Debug("mDNS stopped; starting it again", "what", what, "after", pause, "error", err)
		if !backoff.Sleep(ctx, pause) {
			return
		}
	}
}

func (f *Finder) heard(ctx context.Context, texts []string, found func(peer.AddrInfo)) {
	for _, p := range parse(texts) {
		if p.ID != f.host.ID() && ctx.Err() == nil {
			found(p)
		}
	}
}
