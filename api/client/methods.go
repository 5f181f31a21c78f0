package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	recordsPath   = "/v1/records/"
	providersPath = "/v1/providers/"
	peersPath     = "/v1/peers/"

	bytesType = "application/octet-stream"
	jsonType  = "application/json"
)

// What requests and answers carry besides JSON documents.
type (
	Record      = v1.RawRecord
	PutOptions  = v1.PutOptions
	ListOptions = v1.ListOptions
)

// Node describes the node.
func (c *Client) Node(ctx context.Context) (v1.Node, error) {
	return document[v1.Node](ctx, c, call{method: http.MethodGet, path: "/v1/node"})
}

// Ready returns nil when the node can serve, and otherwise why not.
func (c *Client) Ready(ctx context.Context) error {
	_, err := document[v1.Health](ctx, c, call{method: http.MethodGet, path: "/readyz"})
	return err
}

// Peers lists every peer known and the node itself, sorted by id.
func (c *Client) Peers(ctx context.Context) ([]v1.Peer, error) {
	doc, err := document[v1.Peers](ctx, c, call{method: http.MethodGet, path: "/v1/peers"})
	return doc.Peers, err
}

// FindPeer looks a peer up, beyond those known where needed.
func (c *Client) FindPeer(ctx context.Context, id string) (v1.Peer, error) {
	if id == "" {
		return v1.Peer{}, fault.New(fault.Invalid, "the peer id is empty")
	}
	return document[v1.Peer](ctx, c, call{method: http.MethodGet, path: peersPath, segment: id})
}

// Ping measures one round trip from the node to a peer id or multiaddr.
func (c *Client) Ping(ctx context.Context, target string) (v1.Pong, error) {
	body, err := json.Marshal(v1.PingRequest{Target: target})
	if err != nil {
		return v1.Pong{}, fault.As(fault.Invalid, err)
	}
	return document[v1.Pong](ctx, c, call{method: http.MethodPost, path: "/v1/ping", body: body, contentType: jsonType})
}

// PutRecord puts value under key.
func (c *Client) PutRecord(ctx context.Context, key string, value []byte, opts PutOptions) (v1.Written, error) {
	// A server refuses a large body by closing the connection, which may hide its answer.
	if len(value) > v1.MaxValue {
		return v1.Written{}, fault.New(fault.TooLarge, "the value has %d bytes: at most %d are allowed", len(value), v1.MaxValue)
	}
	query := url.Values{}
	if opts.TTL != 0 {
		query.Set("ttl", opts.TTL.String())
	}
	if opts.Consistency != "" {
		query.Set("consistency", opts.Consistency)
	}
	if value == nil {
		value = []byte{}
	}
	return document[v1.Written](ctx, c, call{
		method: http.MethodPut, path: recordsPath, segment: key, query: query, body: value, contentType: bytesType,
	})
}

// DeleteRecord deletes the record of key. The TTL of opts has no meaning here.
func (c *Client) DeleteRecord(ctx context.Context, key string, opts PutOptions) (v1.Written, error) {
	query := url.Values{}
	if opts.Consistency != "" {
		query.Set("consistency", opts.Consistency)
	}
	return document[v1.Written](ctx, c, call{method: http.MethodDelete, path: recordsPath, segment: key, query: query})
}

// GetRecord returns the newest version that a quorum of holders knows.
func (c *Client) GetRecord(ctx context.Context, key string) (Record, error) {
	header, value, err := c.do(ctx, call{
		method: http.MethodGet, path: recordsPath, segment: key, accept: bytesType, limit: v1.MaxValue,
	})
	if err != nil {
		return Record{}, err
	}
	rec := Record{Key: key, Value: value, Version: header.Get(v1.HeaderVersion), Author: header.Get(v1.HeaderAuthor)}
	if rec.Version == "" {
		return Record{}, fault.New(fault.Internal, "%s answered bytes without a version; is it a moot node's API?", c.URL())
	}
	if text := header.Get(v1.HeaderExpires); text != "" {
		if rec.Expires, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return Record{}, fault.New(fault.Internal, "%s answered a bad time in %s: %w", c.URL(), v1.HeaderExpires, err)
		}
	}
	return rec, nil
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

// Provide says that the node provides what key names.
func (c *Client) Provide(ctx context.Context, key string) (v1.Provided, error) {
	return document[v1.Provided](ctx, c, call{method: http.MethodPut, path: providersPath, segment: key})
}

// Providers lists the peers that provide what key names.
func (c *Client) Providers(ctx context.Context, key string) (v1.Providers, error) {
	return document[v1.Providers](ctx, c, call{method: http.MethodGet, path: providersPath, segment: key})
}
