package rpc

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/folkmoot/folkmoot/swarm/frames"
)

// appendFrame appends a frame to b.
func appendFrame(b []byte, id uint64, k kind, payload []byte) []byte {
	return append(appendHeader(b, id, k, len(payload)), payload...)
}

// byteStream is a stream of given bytes that counts the deadlines set.
type byteStream struct {
	io.Reader
	deadlines []time.Time
}

func (s *byteStream) SetReadDeadline(t time.Time) error {
	s.deadlines = append(s.deadlines, t)
	return nil
}

func TestFramesRoundTrip(t *testing.T) {
	payloads := [][]byte{{}, []byte("x"), make([]byte, frames.TrustedSize), bytes.Repeat([]byte("y"), 3*frames.TrustedSize+1), []byte("z")}
	var wire []byte
	for i, p := range payloads {
		wire = appendFrame(wire, uint64(i)<<56|7, kindRequest, p)
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(wire), "halves": iotest.HalfReader(bytes.NewReader(wire)), "bytes": iotest.OneByteReader(bytes.NewReader(wire))} {
		in := newFrameReader(&byteStream{Reader: r}, kindRequest, len(payloads[3]))
		for i, want := range payloads {
			h, err := in.header()
			if err != nil || h.id != uint64(i)<<56|7 || h.size != len(want) {
				t.Fatalf("%s: header %d: %+v, %v", name, i, h, err)
			}
			if got, err := in.payload(h); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: payload %d: %d bytes, %v", name, i, len(got), err)
			}
		}
		if _, err := in.header(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestBadFrames(t *testing.T) {
	good := appendFrame(nil, 1, kindRequest, []byte("four"))
	read := func(wire []byte, want kind, maxSize int) error {
		in := newFrameReader(&byteStream{Reader: bytes.NewReader(wire)}, want, maxSize)
		h, err := in.header()
		if err == nil {
			_, err = in.payload(h)
		}
		return err
	}
	if err := read(good, kindRequest, 4); err != nil {
		t.Error(err)
	}
	if err := read(good, kindRequest, 3); !errors.Is(err, errViolation) {
		t.Errorf("oversize: error %v", err)
	}
	if err := read(good, kindResponse, 4); !errors.Is(err, errViolation) {
		t.Errorf("of the wrong kind: error %v", err)
	}
	for n := 1; n < len(good); n++ {
		if err := read(good[:n], kindRequest, 4); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: error %v", n, err)
		}
	}
}

// A length alone must not make the reader set memory aside.
func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	const claimed = 1 << 30
	wire := appendFrame(nil, 1, kindRequest, nil)
	copy(wire, []byte{0x40, 0, 0, 0})
	wire = append(wire, make([]byte, 3*frames.TrustedSize)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in := newFrameReader(&byteStream{Reader: bytes.NewReader(wire)}, kindRequest, claimed)
	h, err := in.header()
	if err != nil || h.size != claimed {
		t.Fatalf("%+v, %v", h, err)
	}
	if _, err := in.payload(h); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 16*frames.TrustedSize {
		t.Errorf("%d bytes set aside for %d that came", n, 3*frames.TrustedSize)
	}
}

// Only a frame that has not arrived whole is given a deadline, which is taken away again.
func TestDeadlineForTheRestOfAFrame(t *testing.T) {
	wire := appendFrame(nil, 1, kindRequest, make([]byte, 100))
	s := &byteStream{Reader: bytes.NewReader(wire)}
	in := newFrameReader(s, kindRequest, 100)
	h, _ := in.header()
	if _, err := in.payload(h); err != nil || len(s.deadlines) != 0 {
		t.Errorf("whole: %d deadlines, %v", len(s.deadlines), err)
	}
	s = &byteStream{Reader: iotest.OneByteReader(bytes.NewReader(wire))}
	in = newFrameReader(s, kindRequest, 100)
	h, _ = in.header()
	if _, err := in.payload(h); err != nil || len(s.deadlines) != 2 || s.deadlines[0].IsZero() || !s.deadlines[1].IsZero() {
		t.Errorf("in parts: deadlines %v, %v", s.deadlines, err)
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, 1, kindRequest, []byte("one")), 2, kindRequest, nil), uint16(16), false)
	f.Add(appendFrame(nil, 1<<63, kindResponse, make([]byte, 300)), uint16(299), true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1}, uint16(65535), false)
	f.Fuzz(func(t *testing.T, wire []byte, maxSize uint16, response bool) {
		want := kindRequest
		if response {
			want = kindResponse
		}
		in := newFrameReader(&byteStream{Reader: iotest.HalfReader(bytes.NewReader(wire))}, want, int(maxSize))
		var again []byte
		for {
			h, err := in.header()
			if err != nil {
				break
			}
			if h.size > int(maxSize) || h.kind != want {
				t.Fatalf("header %+v was let through", h)
			}
			payload, err := in.payload(h)
			if err != nil {
				break
			}
			if len(payload) != h.size {
				t.Fatalf("%d bytes, want %d", len(payload), h.size)
			}
			again = appendFrame(again, h.id, h.kind, payload)
		}
		if !bytes.HasPrefix(wire, again) {
			t.Fatalf("%x was read as %x", wire, again)
		}
	})
}
