package rpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

const (
	// headerSize is the length of a frame's header.
	headerSize = 4 + 8 + 1
	// readBuffer is how much a stream is read ahead: most messages with what follows them. Each end of each stream has such a buffer for as long as it is open, and a peer has hundreds.
	readBuffer = 2 << 10
	// maxMessageLimit is the largest MaxMessage that the format can carry.
	maxMessageLimit = math.MaxInt32 - headerSize - tracing.ParentSize
)

// kind tells requests from responses, so that two clients or two servers that talk to one another notice.
type kind uint8

const (
	kindRequest  kind = 1
	kindResponse kind = 2
	kindTraced   kind = 3 // a request behind its traceparent, on streams of a traced protocol
)

// errViolation is what a peer's breach of the frame format is.
var errViolation = errors.New("protocol violation")

// header is what precedes a payload on the wire.
type header struct {
	size int
	id   uint64
	kind kind
}

// appendHeader appends the header of a frame to b. The payload is at most maxMessageLimit bytes long.
func appendHeader(b []byte, id uint64, k kind, size int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = binary.BigEndian.AppendUint64(b, id)
	return append(b, byte(k))
}

// send queues a frame; see frames.Writer.
func send(ctx context.Context, to *frames.Writer, id uint64, k kind, payload []byte) (end uint64, err error) {
	return to.Send(ctx, appendHeader(make([]byte, 0, headerSize), id, k, len(payload)), payload)
}

// parseHeader reads a header of which the kind must be want, or where traced is set kindTraced, and what follows a traceparent no longer than maxSize.
func parseHeader(b *[headerSize]byte, want kind, traced bool, maxSize int) (header, error) {
	size := binary.BigEndian.Uint32(b[:])
	h := header{id: binary.BigEndian.Uint64(b[4:]), kind: kind(b[12])}
	switch {
	case h.kind == want:
	case h.kind == kindTraced && traced:
		maxSize += tracing.ParentSize
		if size < tracing.ParentSize {
			return header{}, fmt.Errorf("%w: traced frame of %d bytes, want %d or more", errViolation, size, tracing.ParentSize)
		}
	default:
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
	traced  bool // kindTraced will do, too
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
	return parseHeader(&r.raw, r.want, r.traced, r.maxSize)
}

// payload reads the payload of the frame whose header was h. The caller owns the result.
func (r *frameReader) payload(h header) ([]byte, error) { return frames.Read(r.stream, r.buf, h.size) }

// cutParent takes the traceparent off the payload of a frame of kindTraced.
func cutParent(payload []byte) (parent trace.SpanContext, request []byte, err error) {
	parent, ok := tracing.ParseParent(payload[:tracing.ParentSize])
	if !ok {
		return parent, nil, fmt.Errorf("%w: the traceparent is none", errViolation)
	}
	return parent, payload[tracing.ParentSize:], nil
}

// sendTraced is send of a request behind its traceparent.
func sendTraced(ctx context.Context, to *frames.Writer, id uint64, parent trace.SpanContext, request []byte) (end uint64, err error) {
	head := appendHeader(make([]byte, 0, headerSize+tracing.ParentSize), id, kindTraced, tracing.ParentSize+len(request))
	return to.Send(ctx, tracing.AppendParent(head, parent), request)
}
