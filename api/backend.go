// Package api serves the HTTP API of a node: OpenAPI 3.1, RFC 9457 problem documents, health and metrics.
package api

import (
	"context"
	"io"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// Backend is what the HTTP API needs of a node. Errors carry a fault.Kind.
type Backend interface {
	// Node describes the node.
	Node(ctx context.Context) (v1.Node, error)
	// Ready returns nil when the node can serve, and otherwise why not.
	Ready(ctx context.Context) error
	// RecordsReady returns nil when the node can serve and has, at some time since it started, been in sync in all that it holds and seen that at full count; otherwise what is missing.
	RecordsReady(ctx context.Context) error
	// Peers lists every peer known and the node itself, sorted by id.
	Peers(ctx context.Context) ([]v1.Peer, error)
	// Members lists who is a member or was one, by peer id. It is fault.NotFound in a network that is not for members only.
	Members(ctx context.Context) (v1.Members, error)
	// FindPeer looks a peer up, beyond those known where needed. With a way of routing (iterative, recursive or broadcast) as via, others are asked that way whether or not it is known; an unknown way is fault.Invalid.
	FindPeer(ctx context.Context, id, via string) (v1.Peer, error)
	// Ping measures one round trip to a peer id or multiaddr.
	Ping(ctx context.Context, target string) (v1.Pong, error)

	// PutRecord and DeleteRecord write a version. A condition of opts that does not hold is fault.Conflict.
	PutRecord(ctx context.Context, key string, value []byte, opts PutOptions) (v1.Written, error)
	DeleteRecord(ctx context.Context, key string, opts PutOptions) (v1.Written, error)
	// GetRecord returns the newest version that a quorum of holders knows, or as many as opts says. With an error that is fault.NotFound the
	// record may still hold a session.
	GetRecord(ctx context.Context, key string, opts GetOptions) (Record, error)
	// Holders asks who holds which version of a record. What does not exist is held in no version.
	Holders(ctx context.Context, key string) (v1.Holding, error)
	// Standing asks every member how the records that it is in charge of fare.
	Standing(ctx context.Context) (v1.Standing, error)
	ListRecords(ctx context.Context, opts ListOptions) (v1.Page, error)

	NetworkSource
	EventSource
	Topics

	Provide(ctx context.Context, key string) (v1.Provided, error)
	Providers(ctx context.Context, key string) (v1.Providers, error)

	// Leave hands everything that the node holds over to others and ends the node for good; progress is told, now and then and from one goroutine, how
	// many records are left. It goes on when ctx ends: a later call joins it. The error is fault.Unavailable when not everything was
	// handed over within the time given; the node ends all the same and may be run again.
	Leave(ctx context.Context, opts LeaveOptions, progress func(left int64)) error
	// StopLeaving ends a Leave under way at once, as if its time were up.
	StopLeaving(ctx context.Context) error
	// Backup writes a backup of the node, without its keys, to w.
	Backup(ctx context.Context, w io.Writer, opts BackupOptions) error
}

// What requests and answers carry besides JSON documents.
type (
	Record       = v1.RawRecord
	PutOptions   = v1.PutOptions
	GetOptions   = v1.GetOptions
	ListOptions  = v1.ListOptions
	LeaveOptions = v1.LeaveOptions

	BackupOptions = v1.BackupOptions
)

// MaxPage is the most entries in one page of a listing.
const MaxPage = v1.MaxPage
