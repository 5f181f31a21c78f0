package gate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm/frames"
)

const (
	// maxOfClass is how many streams of one class a peer may have: one, and another that takes its place.
	maxOfClass = 2
	// readBuffer is how much of a stream is read ahead.
	readBuffer = 4 << 10
)

// receiveClass takes the messages of one class from a peer until the stream or the session ends.
func (g *Gate) receiveClass(c class, raw network.Stream) {
	from := raw.Conn().RemotePeer()
	m, err := g.admitClass(c, raw)
	if err == nil {
		defer g.tasks.Done()
		err = g.receiveFrames(c, raw)
		g.mu.Lock()
		m.of[c]--
		delete(m.streams, raw)
		g.mu.Unlock()
	}
	g.cfg.Logger.Debug("ledger: stream ended", "peer", from, "messages", c, "reason", err)
	if fault.KindOf(err) == fault.Invalid {
		g.entering.Lock()
		defer g.entering.Unlock()
		if g.drop(from, restTime) {
			g.cfg.Left(from)
		}
	}
	if errors.Is(err, io.EOF) { // the sender has moved to another connection, and waits for this answer that all was read
		_ = raw.Close()
		return
	}
	_ = raw.Reset()
}

// admitClass lets a stream in whose sender may take part, when there is a session with the run of it that says to have opened the stream. It waits for that session: where the peer answered a hello, it may send before the answer was read here.
func (g *Gate) admitClass(c class, raw network.Stream) (*member, error) {
	from := raw.Conn().RemotePeer()
	if !g.cfg.Allowed(from) {
		return nil, fault.New(fault.Forbidden, "not a member")
	}
	if err := raw.Scope().SetService(ServiceName); err != nil {
		return nil, err
	}
	m, err := g.takePlace(from, c)
	if err != nil {
		return nil, err
	}
	if err = g.awaitSession(m, raw); err != nil {
		g.mu.Lock()
		m.of[c]--
		g.mu.Unlock()
		return nil, err
	}
	return m, nil
}

// takePlace counts a stream of a class.
func (g *Gate) takePlace(from peer.ID, c class) (*member, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.member(from)
	if m.of[c] >= maxOfClass {
		return nil, errBusy
	}
	m.of[c]++
	return m, nil
}

// awaitSession reads which run of the peer opened a stream, and waits until there is a session with it. Then the stream is one of those that end with the session.
func (g *Gate) awaitSession(m *member, raw network.Stream) error {
	if err := raw.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	var theirs instance
	if _, err := io.ReadFull(raw, theirs[:]); err != nil {
		return err
	}
	if err := raw.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	limit := time.NewTimer(helloTime)
	defer limit.Stop()
	for {
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return errNoSession
		}
		if len(m.sessions) > 0 && m.instance == theirs {
			m.streams[raw] = struct{}{}
			g.tasks.Add(1)
			g.mu.Unlock()
			return nil
		}
		began := m.began
		g.mu.Unlock()
		select {
		case <-began:
		case <-g.end:
		case <-limit.C:
			return errNoSession
		}
	}
}

// receiveFrames hands over messages until the stream ends. An error is fault.Invalid when the sender breaks the protocol.
func (g *Gate) receiveFrames(c class, raw network.Stream) error {
	from, buf := raw.Conn().RemotePeer(), bufio.NewReaderSize(raw, readBuffer)
	for {
		n, size, err := nextFrame(buf, c, g.cfg.MaxMessage)
		if err != nil {
			return err
		}
		if !g.cfg.Allowed(from) {
			return fault.New(fault.Forbidden, "not a member")
		}
		if err := g.receiveOne(n, size, raw, buf); err != nil {
			return err
		}
	}
}

// nextFrame waits for the next frame on a stream of a class, and reads its header.
func nextFrame(buf *bufio.Reader, c class, limit uint64) (channel byte, size int, err error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(buf, header[:]); err != nil {
		return 0, 0, err
	}
	return parseFrameHeader(&header, c, limit)
}

// receiveOne reads a message and hands it over. Its memory is accounted for until it is CometBFT's.
func (g *Gate) receiveOne(n byte, size int, raw network.Stream, buf *bufio.Reader) error {
	if size > frames.TrustedSize {
		if err := raw.Scope().ReserveMemory(size, network.ReservationPriorityMedium); err != nil {
			return fmt.Errorf("reserve memory for a message of %d bytes: %w", size, err)
		}
		defer raw.Scope().ReleaseMemory(size)
	}
	message, err := frames.Read(raw, buf, size)
	if err != nil {
		return err
	}
	g.mu.Lock()
	h := g.channels[n]
	g.mu.Unlock()
	if h.handle != nil { // otherwise CometBFT has not begun yet
		h.handle(&received{virtual: virtual{raw, h.protocol}, rest: message})
	}
	return nil
}

// handler is CometBFT's for a channel.
type handler struct {
	protocol protocol.ID
	handle   network.StreamHandler
}
