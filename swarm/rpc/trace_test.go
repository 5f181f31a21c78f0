package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/internal/tracing"
)

// parentOf answers with the parent in its context and the request.
func parentOf(ctx context.Context, _ peer.ID, request []byte) ([]byte, error) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return append([]byte("none "), request...), nil
	}
	if !sc.IsRemote() {
		return nil, errors.New("the parent is not said to be another peer's")
	}
	return append(append(tracing.AppendParent(nil, sc), ' '), request...), nil
}

const parentText = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func withParent(t *testing.T, text string) context.Context {
	t.Helper()
	sc, ok := tracing.ParseParent(text)
	if !ok {
		t.Fatal(text)
	}
	return trace.ContextWithSpanContext(t.Context(), sc)
}

// TestTraceCrosses has each of client and server know of traces or not: the server learns of one where both do, and calls work anyway, and at the limit of their size.
func TestTraceCrosses(t *testing.T) {
	large := strings.Repeat("x", 300)
	for _, c := range []struct{ client, server bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		a, b := newPair(t, loopTCP)
		newServer(t, ServerConfig{Host: b, Traced: c.server, MaxMessage: 400, Handler: parentOf})
		client := newClient(t, ClientConfig{Host: a, Traced: c.client, MaxMessage: 400})
		for _, parent := range []string{parentText, parentText[:53] + "00"} {
			want := "none " + large
			if c.client && c.server && parent == parentText {
				want = parent + " " + large
			}
			if got, err := client.Call(withParent(t, parent), b.ID(), []byte(large)); err != nil || string(got) != want {
				t.Errorf("client %t, server %t, %s: %.80q, %v; want %.80q", c.client, c.server, parent, got, err, want)
			}
		}
		wantCall(t, client, b.ID(), "outside", "none outside")
	}
}

// TestTracedRequestsHaveTheFullSize: a traceparent takes nothing from what a request may have.
func TestTracedRequestsHaveTheFullSize(t *testing.T) {
	a, b := newPair(t, loopTCP)
	const most = 128 << 10
	newServer(t, ServerConfig{Host: b, Traced: true, MaxMessage: most, Handler: func(_ context.Context, _ peer.ID, request []byte) ([]byte, error) {
		return binary.BigEndian.AppendUint32(nil, uint32(len(request))), nil
	}})
	client := newClient(t, ClientConfig{Host: a, Traced: true, MaxMessage: most})
	for range 100 { // more than what may be at work at once: memory is given back
		got, err := client.Call(withParent(t, parentText), b.ID(), make([]byte, most))
		if err != nil || binary.BigEndian.Uint32(got) != most {
			t.Fatalf("%v, %v", got, err)
		}
	}
}

// TestHostileTraces holds that a peer whose traceparent is none loses the stream and is told of, and that one that says so on a stream of the plain protocol is, too.
func TestHostileTraces(t *testing.T) {
	good := append([]byte(parentText), "request"...)
	for name, c := range map[string]struct {
		suffix  protocol.ID
		payload []byte
		size    int
		ok      bool
	}{
		"good":                  {tracedSuffix, good, len(good), true},
		"no request":            {tracedSuffix, good[:tracing.ParentSize], tracing.ParentSize, true},
		"upper case":            {tracedSuffix, bytes.ToUpper(good), len(good), false},
		"too short":             {tracedSuffix, good[:54], 54, false},
		"another version":       {tracedSuffix, append([]byte("01"), good[2:]...), len(good), false},
		"over the limit":        {tracedSuffix, good, 64 + tracing.ParentSize + 1, false},
		"on the plain protocol": {"", good, len(good), false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newPair(t, loopTCP)
			violated := make(chan peer.ID, 1)
			newServer(t, ServerConfig{Host: b, Traced: true, MaxMessage: 64, Handler: func(context.Context, peer.ID, []byte) ([]byte, error) { return []byte("ok"), nil },
				Violated: func(p peer.ID) { violated <- p }})
			s, err := a.NewStream(t.Context(), b.ID(), testProtocol+c.suffix)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			if _, err := s.Write(append(appendHeader(nil, 1, kindTraced, c.size), c.payload...)); err != nil {
				t.Fatal(err)
			}
			s.SetReadDeadline(time.Now().Add(10 * time.Second))
			answer := make([]byte, headerSize+2)
			_, err = io.ReadFull(s, answer)
			if c.ok {
				if err != nil || string(answer[headerSize:]) != "ok" {
					t.Errorf("%q, %v", answer, err)
				}
				return
			}
			if err == nil {
				t.Errorf("answered %q", answer)
			}
			select {
			case p := <-violated:
				if p != a.ID() {
					t.Errorf("%s is blamed", p)
				}
			case <-time.After(10 * time.Second):
				t.Error("nobody is blamed")
			}
		})
	}
}

func FuzzTracedFrame(f *testing.F) {
	f.Add(append(appendHeader(nil, 7, kindTraced, tracing.ParentSize+3), parentText+"abc"...))
	f.Add(append(appendHeader(nil, 7, kindRequest, 3), "abc"...))
	f.Add(appendHeader(nil, 7, kindTraced, 1<<31))
	f.Fuzz(func(t *testing.T, wire []byte) {
		const most = 1 << 10
		in := newFrameReader(&byteStream{Reader: bytes.NewReader(wire)}, kindRequest, most)
		in.traced = true
		for {
			h, err := in.header()
			if err != nil {
				return
			}
			payload, err := in.payload(h)
			if err != nil {
				return
			}
			if h.kind == kindTraced {
				parent, request, err := cutParent(payload)
				if err != nil {
					return
				}
				if !parent.IsValid() || !bytes.HasPrefix(payload, tracing.AppendParent(nil, parent)[:53]) {
					t.Fatalf("%+v of %q", parent, payload)
				}
				payload = request
			}
			if len(payload) > most {
				t.Fatalf("%d bytes", len(payload))
			}
		}
	})
}
