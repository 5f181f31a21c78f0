package frames

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"time"
)

// Timeout is how long the rest of a frame may take to arrive once its header has.
const Timeout = 30 * time.Second

// Stream is what Read needs of a stream besides the reader that buffers it.
type Stream interface {
	SetReadDeadline(time.Time) error
}

// Read reads a payload of size bytes from buf, which reads from s. One that has not arrived whole is given Timeout. Memory is set aside as the payload comes in, whatever size says, so that the caller
// needs no more than a bound for size. The caller owns the result. An error is io.ErrUnexpectedEOF when the stream ends before the payload does.
func Read(s Stream, buf *bufio.Reader, size int) ([]byte, error) {
	if buf.Buffered() >= size {
		return fill(buf, size)
	}
	if err := s.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		return nil, err
	}
	b, err := fill(buf, size)
	if err != nil {
		return nil, err
	}
	return b, s.SetReadDeadline(time.Time{})
}

// fill reads size bytes into memory that grows with what arrives.
func fill(r io.Reader, size int) ([]byte, error) {
	b := make([]byte, 0, min(size, TrustedSize))
	for len(b) < size {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), size-len(b)))
		}
		part := b[len(b):min(cap(b), size)]
		n, err := io.ReadFull(r, part)
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}
