package gate

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/swarm/frames"
)

// errWhole is a second write on a stream for one message.
var errWhole = errors.New("a message is written at once")

// virtual is what CometBFT takes for a stream of one message, and is a frame on the one stream of its class. It can be closed without consequences for that, on which its life depends.
type virtual struct {
	raw      network.Stream
	protocol protocol.ID // as CometBFT knows it
}

func (v virtual) ID() string                                 { return v.raw.ID() }
func (v virtual) Protocol() protocol.ID                      { return v.protocol }
func (virtual) SetProtocol(protocol.ID) error                { return errors.ErrUnsupported }
func (v virtual) Stat() network.Stats                        { return v.raw.Stat() }
func (v virtual) Conn() network.Conn                         { return v.raw.Conn() }
func (v virtual) Scope() network.StreamScope                 { return v.raw.Scope() }
func (virtual) Read([]byte) (int, error)                     { return 0, io.EOF }
func (virtual) Write([]byte) (int, error)                    { return 0, errors.ErrUnsupported }
func (virtual) Close() error                                 { return nil }
func (virtual) CloseRead() error                             { return nil }
func (virtual) CloseWrite() error                            { return nil }
func (virtual) Reset() error                                 { return nil }
func (virtual) ResetWithError(network.StreamErrorCode) error { return nil }
func (virtual) SetDeadline(time.Time) error                  { return nil }
func (virtual) SetReadDeadline(time.Time) error              { return nil }
func (virtual) SetWriteDeadline(time.Time) error             { return nil }

var _, _ network.Stream = (*received)(nil), (*sending)(nil)

// received is a message that came.
type received struct {
	virtual
	rest []byte
}

// Read reads the message.
func (r *received) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// sending is a message that is to be sent.
type sending struct {
	virtual
	ctx     context.Context // of whoever sends it: no longer than that does a message wait for those before it
	pipe    *pipe
	again   func() (*pipe, error) // returns the pipe that took over from pipe
	channel byte
	limit   uint64
	written bool
	once    sync.Once
	release func()
}

// Write queues the message, which is whole.
func (s *sending) Write(p []byte) (int, error) {
	switch {
	case s.written:
		return 0, errWhole
	case uint64(len(p)) > s.limit:
		return 0, tooLong(s.channel, len(p))
	}
	s.written = true
	header := appendFrameHeader(make([]byte, 0, frameHeader), s.channel, len(p))
	_, err := s.pipe.out.Send(s.ctx, header, p)
	for errors.Is(err, frames.ErrFinished) || errors.Is(err, errMoved) {
		if s.pipe, err = s.again(); err != nil {
			return 0, err
		}
		_, err = s.pipe.out.Send(s.ctx, header, p)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close says that the message is written.
func (s *sending) Close() error {
	s.once.Do(s.release)
	return nil
}

// Reset gives the message up. What was written is sent nevertheless.
func (s *sending) Reset() error { return s.Close() }

// ResetWithError is Reset.
func (s *sending) ResetWithError(network.StreamErrorCode) error { return s.Close() }
