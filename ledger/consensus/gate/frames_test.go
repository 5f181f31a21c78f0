package gate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cometbft/cometbft/lp2p"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/folkmoot/folkmoot/swarm/frames"
)

// frame is a message as it goes over the wire.
func frame(channel byte, message string) []byte {
	return append(appendFrameHeader(nil, channel, len(message)), message...)
}

// classStream opens a stream of a class by hand, as the run that has the session.
func (s *side) classStream(t *testing.T, to *side, c class) network.Stream {
	t.Helper()
	raw, err := s.host.NewStream(t.Context(), to.host.ID(), s.classProtocol(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Reset() })
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write(s.instance[:]); err != nil {
		t.Fatal(err)
	}
	return raw
}

// ended says whether the other side has reset a stream.
func ended(s network.Stream) bool {
	_, err := s.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, io.EOF)
}

// A class whose messages are not read holds up no other.
func TestClassesDoNotWaitForOneAnother(t *testing.T) {
	a, b := pair(t)
	hold := make(chan struct{})
	defer close(hold)
	began := make(chan struct{}, 1)
	b.SetStreamHandler(lp2p.ProtocolID(blocks), func(network.Stream) {
		began <- struct{}{}
		<-hold
	})
	got := b.listen(votes)
	for range 100 {
		if err := a.send(b, blocks, strings.Repeat("x", maxTest)); err != nil {
			t.Fatal(err)
		}
	}
	<-began
	for range 10 {
		if err := a.send(b, votes, "vote"); err != nil {
			t.Fatal(err)
		}
		if s := receive(t, got); s != "vote" {
			t.Errorf("received %q", s)
		}
	}
	if n := a.streams(b); n != 2 {
		t.Errorf("%d streams, want one for each of two classes", n)
	}
}

// What cannot be sent is refused here, and harms nobody.
func TestSendingRefused(t *testing.T) {
	a, b := pair(t)
	got := b.listen(votes)
	if err := a.send(b, votes, strings.Repeat("x", maxTest+100)); !errors.Is(err, errTooLarge) {
		t.Errorf("a message that is too large: %v", err)
	}
	s, err := a.NewStream(t.Context(), b.host.ID(), lp2p.ProtocolID(votes))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("\x01a")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("b")); !errors.Is(err, errWhole) {
		t.Errorf("a second write: %v", err)
	}
	if err := errors.Join(s.Close(), s.Reset()); err != nil {
		t.Error(err)
	}
	if s := receive(t, got); s != "a" {
		t.Errorf("received %q", s)
	}
	if n := a.members[b.host.ID()].sending; n != 0 {
		t.Errorf("%d messages are on their way", n)
	}
}

// A peer that does not read costs a bounded number of messages, and the session when its time is over.
func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(time.Millisecond)}
		defer sim.Close()
		var sides []*side
		for _, addr := range []string{"/ip4/1.0.0.1/udp/4242/quic-v1", "/ip4/1.0.0.2/udp/4242/quic-v1"} {
			s := &side{host: simulatedHost(t, sim, addr)}
			s.allowed.Store(true)
			defer s.host.Close()
			s.open(t, networkOf(t, "gate"))
			defer s.Gate.Close()
			sides = append(sides, s)
		}
		sim.Start()
		a, b := sides[0], sides[1]
		connect(t, a.host, b.host)
		if err := a.Join(t.Context(), b.host.ID()); err != nil {
			t.Fatal(err)
		}
		hold := make(chan struct{})
		b.SetStreamHandler(lp2p.ProtocolID(blocks), func(network.Stream) { <-hold })
		defer close(hold)
		left, start := a.times(), time.Now()
		const callers = 16
		results := make(chan error, callers)
		for range callers {
			go func() {
				var err error
				for err == nil {
					err = a.send(b, blocks, strings.Repeat("x", maxTest))
				}
				results <- err
			}()
		}
		for range callers {
			if err := <-results; errors.Is(err, errBusy) {
				t.Errorf("refused, though only %d messages waited", callers)
			}
		}
		if took := time.Since(start); took < frames.WriteTimeout/2 || took > 2*frames.WriteTimeout {
			t.Errorf("given up after %s", took)
		}
		eventually(t, "the end of the session", func() bool { return a.times() == left+1 && !a.Present(b.host.ID()) })
	})
}

// simulatedHost returns a host on simulated links.
func simulatedHost(t *testing.T, sim *simnet.Simnet, addr string) host.Host {
	t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
	h, err := libp2p.New(libp2p.ListenAddrStrings(addr), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}),
		simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// More messages than may be on their way to a peer are refused at once.
func TestTooManyOnTheirWay(t *testing.T) {
	a, b := pair(t)
	var open []network.Stream
	for range maxSending {
		s, err := a.NewStream(t.Context(), b.host.ID(), lp2p.ProtocolID(votes))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if _, err := a.NewStream(t.Context(), b.host.ID(), lp2p.ProtocolID(votes)); !errors.Is(err, errBusy) {
		t.Errorf("one more: %v", err)
	}
	for _, s := range open {
		s.Close()
	}
	if err := a.send(b, votes, "x"); err != nil {
		t.Error(err)
	}
}

// What breaks the protocol ends the sender's session, for a while, and is handed to nobody.
func TestHostileFrames(t *testing.T) {
	a, b := pair(t)
	got := b.listen(blocks)
	for name, wire := range map[string][]byte{
		"a channel of another class": frame(votes, "x"),
		"no channel":                 frame(0x99, "x"),
		"nothing":                    frame(blocks, ""),
		"too large":                  appendFrameHeader(nil, blocks, maxTest+11),
		"4 GiB":                      {blocks, 0xff, 0xff, 0xff, 0xff},
	} {
		eventually(t, "a session", func() bool { return a.Join(t.Context(), b.host.ID()) == nil })
		s, left, start := a.classStream(t, b, classBlocks), b.times(), time.Now()
		if _, err := s.Write(wire); err != nil {
			t.Fatal(err)
		}
		if !ended(s) {
			t.Errorf("%s: taken", name)
		}
		eventually(t, name+": the end", func() bool { return b.times() == left+1 && !a.Present(b.host.ID()) })
		if err := a.Join(t.Context(), b.host.ID()); err == nil && time.Since(start) < restTime {
			t.Errorf("%s: a new session at once", name)
		}
	}
	if len(got) > 0 {
		t.Errorf("handed over: %q", <-got)
	}
	eventually(t, "a session", func() bool { return a.Join(t.Context(), b.host.ID()) == nil })
	s := a.classStream(t, b, classBlocks)
	if _, err := s.Write(frame(blocks, "\x01x")[:frameHeader+1]); err != nil { // half a message, and no more
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil || !ended(s) || len(got) > 0 {
		t.Errorf("half a message: %v", err)
	}
	if err := a.send(b, blocks, "after all that"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "after all that" {
		t.Errorf("received %q", s)
	}
}

// A peer has a bounded number of streams of each class; those that say nothing cost no more than that, and end with the session.
func TestSilentStreams(t *testing.T) {
	a, b := pair(t)
	var silent []network.Stream
	for _, c := range classes {
		for range maxOfClass {
			silent = append(silent, a.classStream(t, b, c))
		}
	}
	eventually(t, "the streams", func() bool { return b.streams(a) == len(silent) })
	if s := a.classStream(t, b, classVotes); !ended(s) {
		t.Error("one too many was taken")
	}
	if _, err := silent[0].Write(frame(votes, "\x01x")); err != nil { // they are still good
		t.Error(err)
	}
	if n := b.times(); n != 1 {
		t.Errorf("left %d times", n)
	}
	b.Expel(a.host.ID())
	for _, s := range silent {
		if !ended(s) {
			t.Error("a stream goes on without a session")
		}
	}
}

// A stream that comes before the session waits for it, one of another run in vain.
func TestStreamBeforeSession(t *testing.T) {
	a, b := newSide(t, "gate"), newSide(t, "gate")
	connect(t, a.host, b.host)
	got := b.listen(votes)
	early, other := a.classStream(t, b, classVotes), instance{1}
	if _, err := early.Write(frame(votes, "\x05early")); err != nil {
		t.Fatal(err)
	}
	stranger, err := a.host.NewStream(t.Context(), b.host.ID(), a.classProtocol(classVotes))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Write(append(slices.Clone(other[:]), frame(votes, "\x05other")...)); err != nil {
		t.Fatal(err)
	}
	if len(got) > 0 {
		t.Error("it was let in without a session")
	}
	if err := a.Join(t.Context(), b.host.ID()); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "early" {
		t.Errorf("received %q", s)
	}
	if !ended(stranger) || len(got) > 0 {
		t.Error("a stream of another run was let in")
	}
}

// A stream that breaks ends the session: what was in it is lost, and CometBFT would not send it again.
func TestBrokenStream(t *testing.T) {
	a, b := pair(t)
	got := b.listen(votes)
	if err := a.send(b, votes, "x"); err != nil || receive(t, got) != "x" {
		t.Fatal(err)
	}
	left := a.times()
	for _, s := range b.host.Network().ConnsToPeer(a.host.ID())[0].GetStreams() {
		if s.Protocol() == a.classProtocol(classVotes) {
			s.Reset()
		}
	}
	eventually(t, "the end of the session", func() bool { return a.times() == left+1 })
	eventually(t, "a new session", func() bool { return a.Join(t.Context(), b.host.ID()) == nil })
	if err := a.send(b, votes, "again"); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s != "again" {
		t.Errorf("received %q", s)
	}
}

// A peer that ends its side of a stream, though that does not move, has ended the session: nothing takes over from the stream, and who sends must not wait for that.
func TestEndThatNobodyAskedFor(t *testing.T) {
	a, b := pair(t)
	got := b.listen(votes)
	if err := a.send(b, votes, "x"); err != nil || receive(t, got) != "x" {
		t.Fatal(err)
	}
	a.Gate.mu.Lock()
	p := a.members[b.host.ID()].pipes[classVotes]
	a.Gate.mu.Unlock()
	left := a.times()
	for _, s := range b.host.Network().ConnsToPeer(a.host.ID())[0].GetStreams() {
		if s.Protocol() == a.classProtocol(classVotes) {
			if err := s.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the end of the session", func() bool { return a.times() == left+1 })
	if err := p.out.Err(); err == nil || errors.Is(err, errMoved) {
		t.Errorf("the stream ended with %v", err)
	}
}

// still is a stream that has no deadlines.
type still struct{}

func (still) SetReadDeadline(time.Time) error { return nil }

func FuzzFrames(f *testing.F) {
	f.Add(append(frame(0x22, "\x04vote"), frame(0x20, "\x01x")...), uint16(16))
	f.Add([]byte{0x22, 0xff, 0xff, 0xff, 0xff}, uint16(65535))
	f.Add(frame(0x40, "block")[:7], uint16(5))
	f.Fuzz(func(t *testing.T, wire []byte, limit uint16) {
		buf := bufio.NewReader(iotest.HalfReader(bytes.NewReader(wire)))
		var again []byte
		for {
			n, size, err := nextFrame(buf, classVotes, uint64(limit))
			if err != nil {
				break
			}
			if channels[n].class != classVotes || size < 1 || size > int(limit)+10 {
				t.Fatalf("channel %#x, %d bytes", n, size)
			}
			message, err := frames.Read(still{}, buf, size)
			if err != nil {
				break
			}
			again = append(again, frame(n, string(message))...)
		}
		if !bytes.HasPrefix(wire, again) {
			t.Fatalf("%x was read as %x", wire, again)
		}
	})
}
