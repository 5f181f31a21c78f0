// Package static finds the peers whose addresses the user named: bootstrap peers. Names in addresses are resolved again
// each time, so that a peer behind a DNS name may move.
package static

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// MaxAddrs is how many bootstrap addresses a node may have.
	MaxAddrs = 64
	// RepeatBase and RepeatLimit bound the growing time between reports of a peer that is not connected.
	RepeatBase  = 5 * time.Second
	RepeatLimit = 2 * time.Minute
	// CheckInterval is how often a connected peer is looked at, to see whether it still is.
	CheckInterval = 5 * time.Second
)

// Config names the peers.
type Config struct {
	// Addrs are dialable addresses with or without /p2p/ID at the end, 1 to MaxAddrs. A /dnsaddr may stand for several peers.
	Addrs []ma.Multiaddr
	// Resolver resolves the names in Addrs; *madns.Resolver is one.
	Resolver Resolver
	// Connected tells whether a peer, or with an empty ID any of the addresses, is connected.
	Connected func(peer.AddrInfo) bool
	// Logger may be nil.
	Logger *slog.Logger
}

// Validate returns a fault.Invalid error if the configuration can't be used.
func (cfg *Config) Validate() error {
	switch {
	case len(cfg.Addrs) == 0 || len(cfg.Addrs) > MaxAddrs:
		return fault.New(fault.Invalid, "%d bootstrap addresses, want 1 to %d", len(cfg.Addrs), MaxAddrs)
	case cfg.Resolver == nil || cfg.Connected == nil:
		return fault.New(fault.Invalid, "bootstrap: no resolver, or no way to tell who is connected")
	}
	for _, addr := range cfg.Addrs {
		if err := validate(addr); err != nil {
			return err
		}
	}
	return nil
}

func validate(addr ma.Multiaddr) error {
	transport, id := peer.SplitAddr(addr)
	if len(transport) == 0 {
		return fault.New(fault.Invalid, "bootstrap address %q has no transport address, such as /ip4/10.0.0.1/tcp/4242", addr)
	}
	_, circuitErr := addr.ValueForProtocol(ma.P_CIRCUIT)
	switch transport[0].Code() {
	case ma.P_DNSADDR:
		return nil
	case ma.P_IP4, ma.P_IP6, ma.P_IP6ZONE, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
	default:
		return fault.New(fault.Invalid, "bootstrap address %q does not begin with an IP address or a name", addr)
	}
	if len(transport) < 2 {
		return fault.New(fault.Invalid, "bootstrap address %q has no transport, such as /tcp/4242", addr)
	}
	if circuitErr == nil && id == "" {
		return fault.New(fault.Invalid, "bootstrap address %q leads through a relay: end it with the /p2p/ID of the peer behind", addr)
	}
	return nil
}

// Finder reports the peers of a Config.
type Finder struct {
	cfg Config
	log *slog.Logger
}

// New returns a finder of the peers that cfg names.
func New(cfg Config) (*Finder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Finder{cfg: cfg, log: log}, nil
}

// Name returns "static".
func (f *Finder) Name() string { return "static" }

// Find reports every peer at once, and again while it is not connected; see discovery.Finder.
func (f *Finder) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	var wg sync.WaitGroup
	for _, addr := range f.cfg.Addrs {
		wg.Go(func() { f.follow(ctx, addr, found) })
	}
	wg.Wait()
	return nil
}

// follow reports what one address stands for until ctx ends.
func (f *Finder) follow(ctx context.Context, addr ma.Multiaddr, found func(peer.AddrInfo)) {
	repeat := backoff.Backoff{Base: RepeatBase, Limit: RepeatLimit}
	for ctx.Err() == nil {
		peers, err := f.resolve(ctx, addr)
		if err != nil && ctx.Err() == nil {
			f.log.Debug("bootstrap address not resolved", "addr", addr, "error", err)
		}
		for _, p := range peers {
			if ctx.Err() == nil && !f.cfg.Connected(p) {
				found(p)
			}
		}
		backoff.Sleep(ctx, repeat.Next())
		if f.restWhileConnected(ctx, peers) {
			repeat.Reset()
		}
	}
}

// restWhileConnected returns when one of peers is not connected, and whether all were when it was called.
func (f *Finder) restWhileConnected(ctx context.Context, peers []peer.AddrInfo) bool {
	rested := false
	for ctx.Err() == nil && f.allConnected(peers) {
		rested = true
		backoff.Sleep(ctx, CheckInterval)
	}
	return rested
}

func (f *Finder) allConnected(peers []peer.AddrInfo) bool {
	for _, p := range peers {
		if !f.cfg.Connected(p) {
			return false
		}
	}
	return len(peers) > 0
}

// resolve returns the peers that addr stands for.
func (f *Finder) resolve(ctx context.Context, addr ma.Multiaddr) ([]peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, ResolveTimeout)
	defer cancel()
	addrs, err := resolve(ctx, f.cfg.Resolver, addr)
	if err != nil && len(addrs) == 0 {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return group(addrs), err
}
