package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cometbft/cometbft/lp2p"
	"github.com/libp2p/go-libp2p/core/network"
)

// Messages of one channel come in the order in which they were sent, and all of them come, whichever release either side is of.
func TestOrder(t *testing.T) {
	for _, c := range []struct{ a, b bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("before=%t,%t", c.a, c.b), func(t *testing.T) {
			a, b := pairOf(t, c.a, c.b)
			a.gap, b.gap = patience, patience // a machine that is busy may hold one message up for longer than the others wait for it
			order(t, a, b)
			order(t, b, a)
			if framed := a.members[b.host.ID()].frames; framed == (c.a || c.b) {
				t.Errorf("a stream for each class: %t", framed)
			}
		})
	}
}

func order(t *testing.T, a, b *side) {
	t.Helper()
	got := b.listen(votes)
	const n = 600
	for i := range n {
		if err := a.send(b, votes, string(rune('a'+i%26))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if s := receive(t, got); s != string(rune('a'+i%26)) {
			t.Fatalf("message %d is %q", i, s)
		}
	}
}

// A message whose predecessor never comes waits a moment, and passes.
func TestGap(t *testing.T) {
	a, b := pairOf(t, true, false)
	got := b.listen(votes)
	m := a.members[b.host.ID()]
	a.count(m, "0x22") // one that is never sent
	start := time.Now()
	if err := a.send(b, votes, "second"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "second" || time.Since(start) < gapTime/2 {
		t.Errorf("received %q after %s", s, time.Since(start))
	}
	if err := a.send(b, votes, "third"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "third" {
		t.Errorf("received %q", s)
	}
}

// A peer of the release before that does not read has a bounded number of streams, and a bounded number of messages wait for them; others are not held up.
func TestBounds(t *testing.T) {
	a, b := pairOf(t, true, false)
	c := newSide(t, "gate")
	connect(t, a.host, c.host)
	if err := a.Join(t.Context(), c.host.ID()); err != nil {
		t.Fatal(err)
	}
	var open, most atomic.Int64
	hold := make(chan struct{})
	b.SetStreamHandler(lp2p.ProtocolID(blocks), func(s network.Stream) {
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-hold
		open.Add(-1) // before it is read: the sender may open the next one before this goroutine goes on
		_, _ = lp2p.StreamReadSizedClose(s, maxTest)
	})
	const sent = maxOut + maxWaiting + 50
	errs := make(chan error, sent)
	for range sent {
		go func() { errs <- a.send(b, blocks, "x") }()
	}
	busy := 0
	for range maxOut + 50 { // those that got a stream return at once, as do those that found too many waiting
		if err := <-errs; errors.Is(err, errBusy) {
			busy++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if busy != 50 {
		t.Errorf("%d were refused, want 50", busy)
	}
	got := c.listen(blocks)
	if err := a.send(c, blocks, "y"); err != nil {
		t.Error(err)
	}
	if s := receive(t, got); s != "y" {
		t.Errorf("received %q", s)
	}
	close(hold)
	for range sent - maxOut - 50 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if m := most.Load(); m > maxOut {
		t.Errorf("%d streams at a time, at most %d", m, maxOut)
	}
}

// One who opens more streams than a gate does is refused, and what it says is too large is not read.
func TestHostile(t *testing.T) {
	a, b := pairOf(t, true, false)
	got := b.listen(blocks)
	wire := networkOf(t, "gate").Protocol("ledger/1/0x40")
	open := func() network.Stream {
		s, err := a.host.NewStream(t.Context(), b.host.ID(), wire)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, headerSize)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	var streams []network.Stream
	for range maxIn {
		streams = append(streams, open())
	}
	eventually(t, "the streams", func() bool {
		b.Gate.mu.Lock()
		defer b.Gate.mu.Unlock()
		return b.members[a.host.ID()].in == maxIn
	})
	for range 8 {
		s, err := a.host.NewStream(t.Context(), b.host.ID(), wire)
		if err != nil {
			continue // the resource manager refused it
		}
		_, _ = s.Write(make([]byte, headerSize))
		_ = s.SetReadDeadline(time.Now().Add(patience))
		if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("one too many was taken: %v", err)
		}
	}
	for _, s := range streams {
		s.Reset()
	}
	eventually(t, "their end", func() bool {
		b.Gate.mu.Lock()
		defer b.Gate.mu.Unlock()
		return b.members[a.host.ID()].in == 0
	})
	for len(got) > 0 {
		<-got
	}
	for name, size := range map[string][]byte{
		"one too many": {0x81, 0x08}, "no end": bytes.Repeat([]byte{0xff}, 11), "1 GiB": {0x80, 0x80, 0x80, 0x80, 0x04},
	} {
		s := open()
		_, _ = s.Write(size)
		if what := receive(t, got); !strings.HasPrefix(what, "error: ") {
			t.Errorf("%s: %q", name, what)
		}
		s.Reset()
	}
	s := open()
	_, _ = s.Write(append([]byte{0x80, 0x08}, make([]byte, maxTest)...))
	_ = s.CloseWrite()
	if what := receive(t, got); len(what) != maxTest {
		t.Errorf("the largest that is allowed: %.40q", what)
	}
}

// Each stream for one message has a deadline and the ledger's service, whoever opened it.
func TestDeadlineAndService(t *testing.T) {
	a, b := pairOf(t, true, false)
	done := make(chan error, 1)
	b.SetStreamHandler(lp2p.ProtocolID(blocks), func(s network.Stream) {
		in := s.(*stream).Stream
		scope := in.Scope().Stat()
		if scope.NumStreamsInbound != 1 {
			done <- errors.New("not counted")
			return
		}
		_ = in.SetReadDeadline(time.Now().Add(-time.Second)) // as if its time were over
		_, err := lp2p.StreamReadSizedClose(s, maxTest)
		done <- err
	})
	s, err := a.NewStream(t.Context(), b.host.ID(), lp2p.ProtocolID(blocks))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte{5}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("read after the deadline")
	}
	for _, side := range []*side{a, b} {
		var stat network.ScopeStat
		err := side.host.Network().ResourceManager().ViewService(ServiceName, func(s network.ServiceScope) error {
			stat = s.Stat()
			return nil
		})
		if err != nil || stat.NumStreamsInbound+stat.NumStreamsOutbound == 0 {
			t.Errorf("service: %+v, %v", stat, err)
		}
	}
	_ = s.Reset()
}

func FuzzHello(f *testing.F) {
	f.Add([]byte("\x01instance"))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readHello(bytes.NewReader(data))
		if err != nil {
			return
		}
		if want := append([]byte{helloVersion}, got[:]...); !bytes.Equal(data[:len(want)], want) {
			t.Fatalf("%x was read as %x", data, got)
		}
	})
}
