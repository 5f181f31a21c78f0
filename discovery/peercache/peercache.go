// Package peercache remembers the peers that were alive lately in a file, so that a node that starts again finds its
// network though every other way to find it is gone.
package peercache

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// RepeatBase and RepeatLimit bound the growing time between reports while the node has no connection.
	RepeatBase  = 10 * time.Second
	RepeatLimit = 5 * time.Minute
	// CheckInterval is how often it is looked whether the node has a connection still.
	CheckInterval = 5 * time.Second
)

// Config says whom to report, and when.
type Config struct {
	// Entries are those that Load returned; there may be none.
	Entries []Entry
	// Alone tells whether the node has no connection.
	Alone func() bool
	// Logger may be nil.
	Logger *slog.Logger
}

// Finder reports remembered peers.
type Finder struct {
	entries []Entry
	alone   func() bool
	log     *slog.Logger
}

// New returns a finder of the peers in cfg.
func New(cfg Config) (*Finder, error) {
	if cfg.Alone == nil {
		return nil, fault.New(fault.Invalid, "peer cache: no way to tell whether the node is alone")
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Finder{entries: newest(cfg.Entries), alone: cfg.Alone, log: log}, nil
}

// Name returns "peercache".
func (f *Finder) Name() string { return "peercache" }

// Find reports every remembered peer, newest first, at once and again while the node has no connection; see
// discovery.Finder.
func (f *Finder) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	repeat := backoff.Backoff{Base: RepeatBase, Limit: RepeatLimit}
	for ctx.Err() == nil {
		f.log.Debug("trying the peers remembered", "peers", len(f.entries))
		for _, e := range f.entries {
			if ctx.Err() == nil {
				found(peer.AddrInfo{ID: e.ID, Addrs: e.Addrs})
			}
		}
		backoff.Sleep(ctx, repeat.Next())
		for ctx.Err() == nil && !f.alone() {
			repeat.Reset()
			backoff.Sleep(ctx, CheckInterval)
		}
	}
	return nil
}
