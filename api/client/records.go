package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const bytesType = "application/octet-stream"

// PutRecord puts value under key.
func (c *Client) PutRecord(ctx context.Context, key string, value []byte, opts PutOptions) (v1.Written, error) {
	// A server refuses a large body by closing the connection, which may hide its answer.
	if len(value) > v1.MaxValue {
		return v1.Written{}, fault.New(fault.TooLarge, "the value has %d bytes: at most %d are allowed", len(value), v1.MaxValue)
	}
	if value == nil {
		value = []byte{}
	}
	query := url.Values{}
	if opts.TTL != 0 {
		query.Set("ttl", opts.TTL.String())
	}
	return c.write(ctx, call{method: http.MethodPut, path: recordsPath, segment: key, query: query, body: value, contentType: bytesType}, opts)
}

// DeleteRecord deletes the record of key. The TTL of opts has no meaning here.
func (c *Client) DeleteRecord(ctx context.Context, key string, opts PutOptions) (v1.Written, error) {
	return c.write(ctx, call{method: http.MethodDelete, path: recordsPath, segment: key, query: url.Values{}}, opts)
}

func (c *Client) write(ctx context.Context, what call, opts PutOptions) (v1.Written, error) {
	if opts.Consistency != "" {
		what.query.Set("consistency", opts.Consistency)
	}
	what.accept, what.limit, what.header = jsonType, maxDocument, sessionHeader(opts.Session)
	if opts.IfVersion != "" {
		what.header.Set("If-Match", `"`+opts.IfVersion+`"`)
	}
	if opts.IfAbsent {
		what.header.Set("If-None-Match", "*")
	}
	header, body, err := c.do(ctx, what)
	if err != nil {
		return v1.Written{}, err
	}
	var written v1.Written
	if err := json.Unmarshal(body, &written); err != nil {
		return written, c.notADocument(err)
	}
	written.Session = header.Get(v1.HeaderSession)
	return written, nil
}

// sessionHeader returns the headers of a request that belongs to the session of a token, which may be empty.
func sessionHeader(token string) http.Header {
	header := http.Header{}
	if token != "" {
		header.Set(v1.HeaderSession, token)
	}
	return header
}

// maxEnvelope is the most bytes of a record's signed envelope that a node may answer: those of key and value, and what goes with them.
const maxEnvelope = v1.MaxValue + 16<<10

// Envelope returns the signed envelope of the record that GetRecord returns: what proves it to others, and what is anchored of it. It is fault.Invalid for a record that nobody signed.
func (c *Client) Envelope(ctx context.Context, key string) ([]byte, error) {
	_, envelope, err := c.do(ctx, call{method: http.MethodGet, path: recordsPath, segment: key, accept: v1.EnvelopeType, limit: maxEnvelope})
	return envelope, err
}

// GetRecord returns the newest version that a quorum of holders knows, or as many as opts says. With an error that is fault.NotFound the
// record may still hold a session.
func (c *Client) GetRecord(ctx context.Context, key string, opts GetOptions) (Record, error) {
	query := url.Values{}
	if opts.Consistency != "" {
		query.Set("consistency", opts.Consistency)
	}
	header, value, err := c.do(ctx, call{
		method: http.MethodGet, path: recordsPath, segment: key, query: query, header: sessionHeader(opts.Session),
		accept: bytesType, limit: v1.MaxValue,
	})
	if err != nil {
		return Record{Session: header.Get(v1.HeaderSession)}, err
	}
	rec := Record{
		Key: key, Value: value, Version: header.Get(v1.HeaderVersion), Author: header.Get(v1.HeaderAuthor), Session: header.Get(v1.HeaderSession),
	}
	if rec.Version == "" {
		return Record{}, fault.New(fault.Internal, "%s answered bytes without a version; is it a moot node's API?", c.URL())
	}
	if text := header.Get(v1.HeaderExpires); text != "" {
		if rec.Expires, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return Record{}, fault.New(fault.Internal, "%s answered a bad time in %s: %w", c.URL(), v1.HeaderExpires, err)
		}
	}
	if text := header.Get(v1.HeaderCopies); text != "" {
		if rec.Copies, err = v1.ParseCopies(text); err != nil {
			return Record{}, fault.New(fault.Internal, "%s answered bad %s: %w", c.URL(), v1.HeaderCopies, err)
		}
	}
	return rec, nil
}
