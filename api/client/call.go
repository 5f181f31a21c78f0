package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Bounds of what a node may answer, in bytes.
const (
	maxHeader = 64 << 10
	// maxDocument is far above a full page of the longest keys.
	maxDocument = 32 << 20
	maxProblem  = 64 << 10
	// maxQuoted is how much of an answer that is no node's an error repeats.
	maxQuoted = 200
)

// call is one request.
type call struct {
	method string
	// path follows the base URL's and needs no escapes; segment, escaped, follows path, and suffix, which needs none, segment.
	path, segment, suffix string
	query                 url.Values
	// header holds what the call sends besides what every call does; may be nil.
	header http.Header
	// body is sent when it is not nil.
	body        []byte
	contentType string
	accept      string
	// limit is the most bytes of an answer.
	limit int64
}

// do makes the call and returns the whole answer's headers and body. Answers that are not 200 are errors, which leave no body.
func (c *Client) do(ctx context.Context, what call) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.ask(ctx, what)
	if err != nil {
		return nil, nil, c.transportError(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.Header, nil, c.answeredError(resp)
	}
	body, err := readAll(resp, what.limit)
	if err != nil {
		return nil, nil, c.transportError(ctx, err)
	}
	return resp.Header, body, nil
}

// maxPause is the longest that a node may ask its caller to wait.
const maxPause = 5 * time.Second

// ask makes the call, and again when the node says that it was asked too often (429), which it says before it does anything, while there is time.
func (c *Client) ask(ctx context.Context, what call) (*http.Response, error) {
	for {
		req, err := c.request(ctx, what)
		if err != nil {
			return nil, err
		}
		resp, err := c.http.Do(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests {
			return resp, err
		}
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		pause := time.Duration(seconds) * time.Second
		if end, ok := ctx.Deadline(); err != nil || pause <= 0 || pause > maxPause || ok && time.Until(end) < pause || !sleep(ctx, pause) {
			return resp, nil
		}
		resp.Body.Close()
	}
}

func (c *Client) request(ctx context.Context, what call) (*http.Request, error) {
	u := *c.base
	u.Path += what.path + what.segment + what.suffix
	u.RawPath = c.base.Path + what.path + escapeSegment(what.segment) + what.suffix
	u.RawQuery = what.query.Encode()
	req := &http.Request{
		Method: what.method, URL: &u, Host: u.Host, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if what.body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(what.body)), int64(len(what.body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(what.body)), nil }
		req.Header.Set("Content-Type", what.contentType)
		if len(what.body) == 0 {
			req.Body = http.NoBody
		}
	}
	maps.Copy(req.Header, what.header)
	req.Header.Set("Accept", what.accept)
	req.Header.Set("User-Agent", c.agent)
	if d, ok := ctx.Deadline(); ok {
		if left := answerWithin(time.Until(d)); left > 0 {
			req.Header.Set(v1.HeaderTimeout, left.String())
		}
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req.WithContext(ctx), nil
}

// answerWithin returns how long a node may work on a call that has so much time, so that its answer comes before that is over.
func answerWithin(left time.Duration) time.Duration {
	return (left - min(left/5, time.Second)).Truncate(time.Millisecond)
}

// escapeSegment escapes s as one path segment that nobody on the way takes for another: slashes are escaped, and so are the segments "." and "..".
func escapeSegment(s string) string {
	switch s {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(s)
}

func readAll(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fault.New(fault.TooLarge, "the node answered %d bytes: at most %d are allowed", resp.ContentLength, limit)
	}
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		buf.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if n > limit {
		return nil, fault.New(fault.TooLarge, "the node answered more than %d bytes", limit)
	}
	return buf.Bytes(), nil
}

// document makes a call whose answer is a JSON document of type T.
func document[T any](ctx context.Context, c *Client, what call) (T, error) {
	var doc T
	what.accept, what.limit = "application/json", maxDocument
	_, body, err := c.do(ctx, what)
	if err != nil {
		return doc, err
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return doc, c.notADocument(err)
	}
	return doc, nil
}

func (c *Client) notADocument(err error) error {
	return fault.New(fault.Internal, "%s answered what is not the document expected: %w; is it a moot node's API?", c.URL(), err)
}

// answeredError is the error that the node answered.
func (c *Client) answeredError(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	var p v1.Problem
	if err == nil && resp.Header.Get("Content-Type") == v1.ProblemType && json.Unmarshal(body, &p) == nil && p.Kind != "" {
		return fault.New(fault.ParseKind(p.Kind), "%s", p.Detail)
	}
	return fault.New(kindOfStatus(resp.StatusCode), "%s answered %s (%q); is it a moot node's API?",
		c.URL(), resp.Status, bytes.TrimSpace(body[:min(len(body), maxQuoted)]))
}

// kindOfStatus is for answers that no node gave, but a proxy or another program. None of them says that a record does not exist.
func kindOfStatus(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return fault.Forbidden
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fault.Unavailable
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return fault.TooLarge
	}
	if status >= 400 && status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}
