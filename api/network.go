package api

import (
	"context"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// NetworkSource tells of the network around a node.
type NetworkSource interface {
	// Network returns who is there and who is connected to whom.
	Network(ctx context.Context) (v1.Topology, error)
	// WatchNetwork tells how that changes, with records and ledger. The first event is of type state, unless cursor is one of this node's that is not too old: then what changed since follows. What is no cursor is
	// fault.Invalid. The watch ends with ctx or Close.
	WatchNetwork(ctx context.Context, cursor string) (NetworkWatch, error)
}

// A NetworkWatch tells events, to one goroutine. A reader that is too slow gets an event of type state in place of those that it missed.
type NetworkWatch interface {
	// Next returns the next event once there is one. It returns ctx's error when ctx is over, and another one when the watch has ended.
	Next(ctx context.Context) (v1.NetworkEvent, error)
	// Cursor returns from where another watch goes on after the events that Next has returned.
	Cursor() string
	// Close ends the watch.
	Close() error
}
