package client

import (
	"context"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// A Session is a line of work through a client: its reads see its own writes and never go backwards, whichever nodes answer. Where that can't be had
// a call fails with fault.Unavailable rather than answer something older. Its calls follow one another: while one is under way the next waits. It
// remembers the last 64 keys touched.
type Session struct {
	client *Client
	// turn holds a value while a call is under way.
	turn chan struct{}
	// token is guarded by turn.
	token string
}

// NewSession returns the session that goes on from token, which is what an earlier Session's Token returned, or empty for a new one.
func (c *Client) NewSession(token string) *Session {
	return &Session{client: c, turn: make(chan struct{}, 1), token: token}
}

// Token returns what a later session, through this node or another, can go on from.
func (s *Session) Token() string {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	return s.token
}

// begin waits for the session's turn; where it returns no error, end must be called.
func (s *Session) begin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end keeps the token of an answer; an answer without one changes nothing.
func (s *Session) end(token string) {
	if token != "" {
		s.token = token
	}
	<-s.turn
}

// PutRecord is that of Client within the session.
func (s *Session) PutRecord(ctx context.Context, key string, value []byte, opts PutOptions) (written v1.Written, err error) {
	if err := s.begin(ctx); err != nil {
		return v1.Written{}, err
	}
	defer func() { s.end(written.Session) }()
	opts.Session = s.token
	return s.client.PutRecord(ctx, key, value, opts)
}

// DeleteRecord is that of Client within the session.
func (s *Session) DeleteRecord(ctx context.Context, key string, opts PutOptions) (written v1.Written, err error) {
	if err := s.begin(ctx); err != nil {
		return v1.Written{}, err
	}
	defer func() { s.end(written.Session) }()
	opts.Session = s.token
	return s.client.DeleteRecord(ctx, key, opts)
}

// GetRecord is that of Client within the session.
func (s *Session) GetRecord(ctx context.Context, key string, opts GetOptions) (record Record, err error) {
	if err := s.begin(ctx); err != nil {
		return Record{}, err
	}
	defer func() { s.end(record.Session) }()
	opts.Session = s.token
	return s.client.GetRecord(ctx, key, opts)
}
