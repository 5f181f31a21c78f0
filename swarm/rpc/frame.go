package rpc

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

const (
	// headerSize is the length of a frame's header.
	headerSize = 4 + 8 + 1
	// readBuffer is how much a stream is read ahead: most messages with what follows them. Each end of each stream has such a buffer for as long as it is open, and a peer has hundreds.
	readBuffer = 2 << 10
	// trustedSize is the most memory set aside for a payload before any of it has arrived. Larger payloads are given more as
	// they come in, and are accounted for with libp2p's resource manager.
	trustedSize = 64 << 10
	// frameTimeout is how long the rest of a frame may take to arrive once its header has.
	frameTimeout = 30 * time.Second
	// maxMessageLimit is the largest MaxMessage that the format can carry.
	maxMessageLimit = math.MaxInt32 - headerSize
)

// kind tells requests from responses, so that two clients or two servers that talk to one another notice.
type kind uint8

const (
	kindRequest  kind = 1
	kindResponse kind = 2
)

// errViolation is what a peer's breach of the frame format is.
var errViolation = errors.New("protocol violation")

// header is what precedes a payload on the wire.
type header struct {
	size int
	id   uint64
	kind kind
}

// appendFrame appends a frame to b. The payload is at most maxMessageLimit bytes long.
func appendFrame(b []byte, id uint64, k kind, payload []byte) []byte {
	b = slices.Grow(b, headerSize+len(payload))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint64(b, id)
	b = append(b, byte(k))
	return append(b, payload...)
}

// parseHeader reads a header of which the kind must be want and the payload no longer than maxSize.
func parseHeader(b *[headerSize]byte, want kind, maxSize int) (header, error) {
	size := binary.BigEndian.Uint32(b[:])
	h := header{id: binary.BigEndian.Uint64(b[4:]), kind: kind(b[12])}
	if h.kind != want {
		return header{}, fmt.Errorf("%w: frame of kind %d, want %d", errViolation, h.kind, want)
	}
	if uint64(size) > uint64(maxSize) {
		return header{}, fmt.Errorf("%w: frame of %d bytes, limit %d", errViolation, size, maxSize)
	}
	h.size = int(size)
	return h, nil
}

// deadlineReader is what a frameReader needs of a stream.
type deadlineReader interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// frameReader reads frames of one kind. It is for one goroutine; calls of header and payload alternate.
type frameReader struct {
	stream  deadlineReader
	buf     *bufio.Reader
	want    kind
	maxSize int
	raw     [headerSize]byte
}

func newFrameReader(stream deadlineReader, want kind, maxSize int) *frameReader {
	return &frameReader{stream: stream, buf: bufio.NewReaderSize(stream, readBuffer), want: want, maxSize: maxSize}
}

// header waits for the next frame, without limit of time, and reads its header. It is io.EOF when the stream ended between two frames.
func (r *frameReader) header() (header, error) {
	if _, err := io.ReadFull(r.buf, r.raw[:]); err != nil {
		return header{}, err
	}
	return parseHeader(&r.raw, r.want, r.maxSize)
}

// payload reads the payload of the frame whose header was h. The caller owns the result.
func (r *frameReader) payload(h header) ([]byte, error) {
	if r.buf.Buffered() >= h.size {
		return r.fill(h.size)
	}
	if err := r.stream.SetReadDeadline(time.Now().Add(frameTimeout)); err != nil {
		return nil, err
	}
	b, err := r.fill(h.size)
	if err != nil {
		return nil, err
	}
	return b, r.stream.SetReadDeadline(time.Time{})
}

// fill reads size bytes into memory that grows with what arrives.
func (r *frameReader) fill(size int) ([]byte, error) {
	b := make([]byte, 0, min(size, trustedSize))
	for len(b) < size {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), size-len(b)))
		}
		part := b[len(b):min(cap(b), size)]
		n, err := io.ReadFull(r.buf, part)
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
