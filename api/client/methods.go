package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	recordsPath   = "/v1/records/"
	providersPath = "/v1/providers/"
	holdersPath   = "/v1/holders/"
	peersPath     = "/v1/peers/"

	jsonType = "application/json"
)

// What requests and answers carry besides JSON documents.
type (
	Record        = v1.RawRecord
	PutOptions    = v1.PutOptions
	GetOptions    = v1.GetOptions
	ListOptions   = v1.ListOptions
	LeaveOptions  = v1.LeaveOptions
	BackupOptions = v1.BackupOptions
)

// Node describes the node.
func (c *Client) Node(ctx context.Context) (v1.Node, error) {
	return document[v1.Node](ctx, c, call{method: http.MethodGet, path: "/v1/node"})
}

// Doctor says what is wrong with the node and around it, and what mends it.
func (c *Client) Doctor(ctx context.Context) (v1.Diagnosis, error) {
	return document[v1.Diagnosis](ctx, c, call{method: http.MethodGet, path: "/v1/doctor"})
}

// Ready returns nil when the node can serve, and otherwise why not.
func (c *Client) Ready(ctx context.Context) error {
	_, err := document[v1.Health](ctx, c, call{method: http.MethodGet, path: "/readyz"})
	return err
}

// RecordsReady returns nil when the node can serve and has, at some time since it started, been in sync in all that it holds and seen that at full count; otherwise what is missing.
func (c *Client) RecordsReady(ctx context.Context) error {
	_, err := document[v1.Health](ctx, c, call{method: http.MethodGet, path: "/readyz/records"})
	return err
}

// Peers lists every peer known and the node itself, sorted by id.
func (c *Client) Peers(ctx context.Context) ([]v1.Peer, error) {
	doc, err := document[v1.Peers](ctx, c, call{method: http.MethodGet, path: "/v1/peers"})
	return doc.Peers, err
}

// Members lists who is a member or was one. It is fault.NotFound in a network that is not for members only.
func (c *Client) Members(ctx context.Context) (v1.Members, error) {
	return document[v1.Members](ctx, c, call{method: http.MethodGet, path: "/v1/members"})
}

// FindPeer looks a peer up, beyond those known where needed. With a way of routing (iterative, recursive or broadcast) as via, the node asks others that way, whether or not it knows the peer.
func (c *Client) FindPeer(ctx context.Context, id, via string) (v1.Peer, error) {
	if id == "" {
		return v1.Peer{}, fault.New(fault.Invalid, "the peer id is empty")
	}
	query := url.Values{}
	if via != "" {
		query.Set("via", via)
	}
	return document[v1.Peer](ctx, c, call{method: http.MethodGet, path: peersPath, segment: id, query: query})
}

// Ping measures one round trip from the node to a peer id or multiaddr.
func (c *Client) Ping(ctx context.Context, target string) (v1.Pong, error) {
	body, err := json.Marshal(v1.PingRequest{Target: target})
	if err != nil {
		return v1.Pong{}, fault.As(fault.Invalid, err)
	}
	return document[v1.Pong](ctx, c, call{method: http.MethodPost, path: "/v1/ping", body: body, contentType: jsonType})
}

// ListRecords returns one page of a listing.
func (c *Client) ListRecords(ctx context.Context, opts ListOptions) (v1.Page, error) {
	query := url.Values{}
	if opts.Prefix != "" {
		query.Set("prefix", opts.Prefix)
	}
	if opts.Cursor != "" {
		query.Set("cursor", opts.Cursor)
	}
	if opts.After != "" {
		query.Set("after", opts.After)
	}
	if opts.Limit != 0 {
		query.Set("limit", strconv.Itoa(opts.Limit))
	}
	if opts.Local {
		query.Set("local", "true")
	}
	return document[v1.Page](ctx, c, call{method: http.MethodGet, path: "/v1/records", query: query})
}

// Pages yields every page of a listing from opts.Cursor on, and ends with the first error.
func (c *Client) Pages(ctx context.Context, opts ListOptions) iter.Seq2[v1.Page, error] {
	return func(yield func(v1.Page, error) bool) {
		for {
			page, err := c.ListRecords(ctx, opts)
			if err == nil && page.Cursor != "" && page.Cursor == opts.Cursor {
				err = fault.New(fault.Internal, "%s answered the same cursor twice", c.URL())
			}
			if err != nil {
				yield(v1.Page{}, err)
				return
			}
			if !yield(page, nil) || page.Cursor == "" {
				return
			}
			opts.Cursor = page.Cursor
		}
	}
}

// Holders asks who holds which version of a record.
func (c *Client) Holders(ctx context.Context, key string) (v1.Holding, error) {
	return document[v1.Holding](ctx, c, call{method: http.MethodGet, path: holdersPath, segment: key})
}

// Standing asks how the records of the whole network fare.
func (c *Client) Standing(ctx context.Context) (v1.Standing, error) {
	return document[v1.Standing](ctx, c, call{method: http.MethodGet, path: "/v1/standing"})
}

// Provide says that the node provides what key names.
func (c *Client) Provide(ctx context.Context, key string) (v1.Provided, error) {
	return document[v1.Provided](ctx, c, call{method: http.MethodPut, path: providersPath, segment: key})
}

// Providers lists the peers that provide what key names.
func (c *Client) Providers(ctx context.Context, key string) (v1.Providers, error) {
	return document[v1.Providers](ctx, c, call{method: http.MethodGet, path: providersPath, segment: key})
}
