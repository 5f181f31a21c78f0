// Package kademlia finds peers by walking the network's Kademlia table: each walk asks the peers around a random point of
// the id space whom they know.
package kademlia

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// FirstWalk is how long after the start the first walk begins: walking needs somebody to ask.
	FirstWalk = 2 * time.Second
	// WalkTimeout bounds one walk.
	WalkTimeout = 30 * time.Second
	// IntervalBase is the time between the first walks; it doubles up to IntervalLimit, or up to LonelyInterval while
	// fewer than FewPeers peers are known.
	IntervalBase   = 5 * time.Second
	IntervalLimit  = 10 * time.Minute
	LonelyInterval = 30 * time.Second
	FewPeers       = 8
	// CheckInterval is how often a long interval is checked against the number of peers known.
	CheckInterval = LonelyInterval
	// MaxPeersPerWalk is how many peers of one walk are reported.
	MaxPeersPerWalk = 256
)

// Walker walks; routing.Kademlia implements it.
type Walker interface {
	// Walk returns the peers that one random walk met.
	Walk(ctx context.Context) ([]peer.AddrInfo, error)
}

// Config says how to walk.
type Config struct {
	Walker Walker
	// Known returns how many other peers the node knows to be alive.
	Known func() int
	// Logger may be nil.
	Logger *slog.Logger
}

// Finder walks from time to time.
type Finder struct {
	cfg Config
	log *slog.Logger
}

// New returns a finder that walks with cfg.Walker.
func New(cfg Config) (*Finder, error) {
	if cfg.Walker == nil || cfg.Known == nil {
		return nil, fault.New(fault.Invalid, "kademlia finder: no walker, or no way to tell how many peers are known")
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Finder{cfg: cfg, log: log}, nil
}

// Name returns "kademlia".
func (f *Finder) Name() string { return "kademlia" }

// Find walks until ctx ends; see discovery.Finder.
func (f *Finder) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	interval := backoff.Backoff{Base: IntervalBase, Limit: IntervalLimit}
	wait := backoff.Jitter(FirstWalk)
	for f.rest(ctx, wait) {
		f.walk(ctx, found)
		wait = interval.Next()
	}
	return nil
}

// rest waits for d, but no longer than LonelyInterval while few peers are known. It returns whether ctx lives.
func (f *Finder) rest(ctx context.Context, d time.Duration) bool {
	for d > 0 {
		step := min(d, backoff.Jitter(CheckInterval))
		if !backoff.Sleep(ctx, step) {
			return false
		}
		if step < d && f.cfg.Known() < FewPeers {
			return true
		}
		d -= step
	}
	return ctx.Err() == nil
}

func (f *Finder) walk(ctx context.Context, found func(peer.AddrInfo)) {
	walkCtx, cancel := context.WithTimeout(ctx, WalkTimeout)
	defer cancel()
	peers, err := f.cfg.Walker.Walk(walkCtx)
	if err != nil && ctx.Err() == nil {
		f.log.Debug("walk failed", "error", err)
	}
	for _, p := range peers[:min(len(peers), MaxPeersPerWalk)] {
		if ctx.Err() == nil {
			found(p)
		}
	}
}
