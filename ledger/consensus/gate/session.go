package gate

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// maxSessions is how many sessions there may be with one peer. Two are usual: both opened one.
	maxSessions = 4
	// helloTime is how long the exchange of hellos may take.
	helloTime = 5 * time.Second
	// helloVersion is the first byte of a hello.
	helloVersion = 1
)

// An instance names one run of an engine.
type instance [8]byte

// member is a peer that has, or had, a session.
type member struct {
	instance instance
	sessions map[network.Stream]struct{}
	ended    chan struct{} // closed when the last session ends; made with the first
	began    chan struct{} // closed when the next session begins
	streams  map[network.Stream]struct{}
	rest     time.Time // until when it cannot have a session

	frames  bool                      // there is a stream for each class; otherwise, one for each message
	pipes   map[class]*pipe           // to it, of this session
	moving  map[class]<-chan struct{} // of each class, when the last pipe over a relayed connection is gone
	sending int                       // messages on their way into them
	of      map[class]int             // streams from it

	in      int           // streams for one message from it
	waiting int           // messages to it that wait for such a stream
	out     chan struct{} // one element for each such stream to it

	epoch uint32                 // names the session in what is sent
	sent  map[protocol.ID]uint32 // how many messages were sent in each channel
	lanes map[protocol.ID]*lane  // the order of what comes
}

func newMember() *member {
	return &member{
		sessions: make(map[network.Stream]struct{}), began: make(chan struct{}), streams: make(map[network.Stream]struct{}),
		pipes: make(map[class]*pipe), moving: make(map[class]<-chan struct{}), of: make(map[class]int), out: make(chan struct{}, maxOut), lanes: make(map[protocol.ID]*lane),
	}
}

// member returns what is known of a peer. mu is held.
func (g *Gate) member(p peer.ID) *member {
	m := g.members[p]
	if m == nil {
		m = newMember()
		g.members[p] = m
	}
	return m
}

// takeAll forgets a member's sessions and returns what is to be reset.
func (m *member) takeAll() []network.Stream {
	var all []network.Stream
	for s := range m.sessions {
		all = append(all, s)
	}
	if len(m.sessions) > 0 {
		close(m.ended)
	}
	clear(m.sessions)
	clear(m.pipes)
	clear(m.moving)
	for s := range m.streams { // those remove themselves
		all = append(all, s)
	}
	return all
}

func resetAll(streams []network.Stream) {
	for _, s := range streams {
		_ = s.Reset()
	}
}

// sessionProtocols are the protocol ids with which a session can be opened, the newest first.
func (g *Gate) sessionProtocols() []protocol.ID {
	before := g.cfg.Network.Protocol(protocolBefore + "/session")
	if g.before {
		return []protocol.ID{before}
	}
	return []protocol.ID{g.cfg.Network.Protocol(protocolName + "/session"), before}
}

// Join makes sure that there is a session with a connected peer, over a direct connection where there is one. An error is fault.Forbidden when the peer may not take part, and fault.Unavailable when
// it does not want a session now.
func (g *Gate) Join(ctx context.Context, p peer.ID) error {
	if !g.cfg.Allowed(p) {
		return fault.New(fault.Forbidden, "join %s: not a member", p)
	}
	relayed, stranded := g.stranded(p)
	if g.Present(p) && !stranded {
		return nil
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "the node makes the connections"), helloTime)
	defer cancel()
	s, err := g.Host.NewStream(ctx, p, g.sessionProtocols()...)
	if err != nil {
		return fault.New(fault.Unavailable, "join %s: %w", p, err)
	}
	theirs, err := g.greet(s)
	if err == nil {
		err = g.enter(p, theirs, s)
	}
	if err != nil {
		_ = s.Reset()
		return fault.New(fault.Unavailable, "join %s: %w", p, err)
	}
	go g.hold(p, s)
	if stranded && !swarm.IsRelayed(s.Conn().RemoteMultiaddr()) {
		resetAll(relayed) // CometBFT notices nothing: there is the new one
	}
	return nil
}

// Stranded returns the peers whose sessions are all over relayed connections though there is a direct one. Join moves them.
func (g *Gate) Stranded() []peer.ID {
	return slices.DeleteFunc(g.Peers(), func(p peer.ID) bool {
		_, stranded := g.stranded(p)
		return !stranded
	})
}

// stranded returns a peer's sessions over relayed connections, and whether they are all that there are though there is a direct connection.
func (g *Gate) stranded(p peer.ID) (relayed []network.Stream, is bool) {
	g.mu.Lock()
	m, all := g.members[p], 0
	if m != nil {
		all = len(m.sessions)
		for s := range m.sessions {
			if swarm.IsRelayed(s.Conn().RemoteMultiaddr()) {
				relayed = append(relayed, s)
			}
		}
	}
	g.mu.Unlock()
	direct := slices.ContainsFunc(g.Host.Network().ConnsToPeer(p), func(c network.Conn) bool { return !swarm.IsRelayed(c.RemoteMultiaddr()) && !c.IsClosed() })
	return relayed, direct && len(relayed) > 0 && len(relayed) == all
}

// greet exchanges hellos on a stream that this side opened.
func (g *Gate) greet(s network.Stream) (theirs instance, err error) {
	if err := g.sayHello(s); err != nil {
		return theirs, err
	}
	return readHello(s)
}

// answer takes part in a session that the other side opened.
func (g *Gate) answer(s network.Stream) {
	p := s.Conn().RemotePeer()
	if err := g.welcome(p, s); err != nil {
		g.cfg.Logger.Debug("ledger: session refused", "peer", p, "reason", err)
		_ = s.Reset()
		return
	}
	g.hold(p, s)
}

// welcome is greet of the other side. The old session is over and forgotten before the answer leaves: the peer sends nothing before it has it.
func (g *Gate) welcome(p peer.ID, s network.Stream) error {
	if !g.cfg.Allowed(p) {
		return fault.New(fault.Forbidden, "not a member")
	}
	if err := s.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	theirs, err := readHello(s)
	if err != nil {
		return err
	}
	if err := g.enter(p, theirs, s); err != nil {
		return err
	}
	if err := g.sayHello(s); err != nil {
		g.leave(p, s)
		g.tasks.Done()
		return err
	}
	return nil
}

func (g *Gate) sayHello(s network.Stream) error {
	if err := s.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	if err := s.Scope().SetService(ServiceName); err != nil {
		return err
	}
	_, err := s.Write(append([]byte{helloVersion}, g.instance[:]...))
	return err
}

func readHello(r io.Reader) (theirs instance, err error) {
	var b [1 + len(theirs)]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return theirs, err
	}
	if b[0] != helloVersion || bytes.Equal(b[1:], make([]byte, len(theirs))) {
		return theirs, fault.New(fault.Invalid, "the hello is of another version")
	}
	return instance(b[1:]), nil
}

// enter begins a session. If it is the first one of this run of the peer, CometBFT forgets what it knows of the peer before. Each call that returns nil
// is followed by one of leave, and then of tasks.Done.
func (g *Gate) enter(p peer.ID, theirs instance, s network.Stream) error {
	g.entering.Lock()
	defer g.entering.Unlock()
	g.mu.Lock()
	m := g.member(p)
	framed := s.Protocol() == g.cfg.Network.Protocol(protocolName+"/session")
	var err error
	switch {
	case g.closed:
		err = fault.New(fault.Unavailable, "the ledger is stopping")
	case time.Now().Before(m.rest):
		err = fault.New(fault.Unavailable, "it misbehaved a moment ago")
	case len(m.sessions) >= maxSessions && m.instance == theirs:
		err = fault.New(fault.Full, "there are enough sessions")
	}
	fresh := len(m.sessions) == 0 || m.instance != theirs
	if err != nil || !fresh {
		if err == nil {
			m.sessions[s] = struct{}{}
			m.frames = m.frames || framed
			g.tasks.Add(1)
			m.movePipes()
		}
		g.mu.Unlock()
		return err
	}
	old := m.takeAll()
	g.mu.Unlock()
	resetAll(old)
	g.cfg.Left(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fault.New(fault.Unavailable, "the ledger is stopping")
	}
	m.instance, m.ended = theirs, make(chan struct{})
	m.epoch, m.sent = rand.Uint32(), make(map[protocol.ID]uint32)
	m.sessions[s] = struct{}{}
	m.frames = framed
	close(m.began)
	m.began = make(chan struct{})
	g.tasks.Add(1)
	g.Host.ConnManager().Protect(p, ServiceName) // its connections are not among those that are closed when there are too many
	return nil
}

// hold waits until a session ends.
func (g *Gate) hold(p peer.ID, s network.Stream) {
	defer g.tasks.Done()
	if s.SetDeadline(time.Time{}) == nil {
		_, _ = s.Read(make([]byte, 1)) // nothing ever comes
	}
	_ = s.Reset()
	g.leave(p, s)
}

// leave ends a session. With the last one, CometBFT forgets the peer.
func (g *Gate) leave(p peer.ID, s network.Stream) {
	g.entering.Lock()
	defer g.entering.Unlock()
	g.mu.Lock()
	m := g.members[p]
	if _, ok := m.sessions[s]; !ok { // it was ended from here
		g.mu.Unlock()
		return
	}
	var rest []network.Stream
	if len(m.sessions) == 1 {
		rest = m.takeAll()
	} else {
		delete(m.sessions, s)
	}
	gone := len(m.sessions) == 0
	g.mu.Unlock()
	resetAll(rest)
	if gone {
		g.Host.ConnManager().Unprotect(p, ServiceName)
		g.cfg.Left(p)
	}
}

// Present says whether there is a session with a peer.
func (g *Gate) Present(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.members[p]
	return m != nil && len(m.sessions) > 0
}

// Peers returns the peers that there is a session with.
func (g *Gate) Peers() []peer.ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []peer.ID
	for p, m := range g.members {
		if len(m.sessions) > 0 {
			ids = append(ids, p)
		}
	}
	return ids
}

// Expel ends the session with a peer, which CometBFT then forgets.
func (g *Gate) Expel(p peer.ID) {
	g.entering.Lock()
	defer g.entering.Unlock()
	if g.drop(p, 0) {
		g.cfg.Left(p)
	}
}

// drop ends the session with a peer, which then cannot have another for a while. It says whether there was one.
func (g *Gate) drop(p peer.ID, rest time.Duration) bool {
	g.mu.Lock()
	m := g.members[p]
	if m == nil || len(m.sessions) == 0 {
		g.mu.Unlock()
		return false
	}
	m.rest = time.Now().Add(rest)
	streams := m.takeAll()
	g.mu.Unlock()
	g.Host.ConnManager().Unprotect(p, ServiceName)
	resetAll(streams)
	return true
}
