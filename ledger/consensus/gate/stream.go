package gate

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// errTooLarge is a message that says it is larger than allowed.
var errTooLarge = errors.New("the message is too large")

// stream carries one message. CometBFT writes it and closes, or reads it and closes.
type stream struct {
	network.Stream
	protocol protocol.ID // as CometBFT knows it
	outbound bool
	once     sync.Once
	release  func() // gives back the stream's place among the peer's; called once
	// number returns the header of the message, and is called for the first write.
	number func() []byte

	lane *lane // of a message that is read, or nil

	// limit is the length limit of a message that is read, and head what was read of its length.
	limit uint64
	head  []byte
	known bool // the length is within the limit
}

// Protocol returns CometBFT's id.
func (s *stream) Protocol() protocol.ID { return s.protocol }

// Read reads the message's length byte by byte, and refuses one that is too large: CometBFT makes room for what the length says at once.
func (s *stream) Read(p []byte) (int, error) {
	if s.outbound || s.known || len(p) == 0 {
		return s.Stream.Read(p)
	}
	n, err := s.Stream.Read(p[:1])
	if n == 0 {
		return n, err
	}
	s.head = append(s.head, p[0])
	size, end := binary.Uvarint(s.head)
	switch {
	case end < 0 || size > s.limit:
		return 0, errTooLarge
	case end > 0:
		s.known, s.head = true, nil
	}
	return n, err
}

// Write writes the message, with its header before it.
func (s *stream) Write(p []byte) (int, error) {
	if s.number == nil {
		return s.Stream.Write(p)
	}
	head := s.number()
	s.number = nil
	n, err := s.Stream.Write(append(head, p...))
	return max(0, n-len(head)), err
}

// Close ends the stream. One that was written to stays in the background until the receiver has read it, which it says by closing too.
func (s *stream) Close() error {
	if !s.outbound {
		return s.Stream.Close()
	}
	err := s.Stream.CloseWrite()
	go func() {
		if _, err := io.ReadFull(s.Stream, make([]byte, 1)); errors.Is(err, io.EOF) {
			_ = s.Stream.Close()
		} else {
			_ = s.Stream.Reset() // it was not read in time, or something came back that nobody asked for
		}
		s.over()
	}()
	return err
}

// Reset ends the stream at once.
func (s *stream) Reset() error {
	defer s.over()
	return s.Stream.Reset()
}

// ResetWithError ends the stream at once.
func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	defer s.over()
	return s.Stream.ResetWithError(code)
}

// finish ends a stream that was read.
func (s *stream) finish() {
	_ = s.Stream.Close()
	s.over()
}

func (s *stream) over() { s.once.Do(s.release) }
