// Package api serves the HTTP API of a node: OpenAPI 3.1, RFC 9457 problem documents, health and metrics.
package api

import (
	"context"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// Backend is what the HTTP API needs of a node. Errors carry a fault.Kind.
type Backend interface {
	// Node describes the node.
	Node(ctx context.Context) (v1.Node, error)
	// Ready returns nil when the node can serve, and otherwise why not.
	Ready(ctx context.Context) error
	// Peers lists every peer known and the node itself, sorted by id.
	Peers(ctx context.Context) ([]v1.Peer, error)
	// FindPeer looks a peer up, beyond those known where needed.
	FindPeer(ctx context.Context, id string) (v1.Peer, error)
	// Ping measures one round trip to a peer id or multiaddr.
	Ping(ctx context.Context, target string) (v1.Pong, error)

	PutRecord(ctx context.Context, key string, value []byte, opts PutOptions) (v1.Written, error)
	DeleteRecord(ctx context.Context, key string, opts PutOptions) (v1.Written, error)
	// GetRecord returns the newest version that a quorum of holders knows.
	GetRecord(ctx context.Context, key string) (Record, error)
	ListRecords(ctx context.Context, opts ListOptions) (v1.Page, error)

	Provide(ctx context.Context, key string) (v1.Provided, error)
	Providers(ctx context.Context, key string) (v1.Providers, error)
}

// What requests and answers carry besides JSON documents.
type (
	Record      = v1.RawRecord
	PutOptions  = v1.PutOptions
	ListOptions = v1.ListOptions
)

// MaxPage is the most entries in one page of a listing.
const MaxPage = v1.MaxPage
