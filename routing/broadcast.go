package routing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// BroadcastTopic is the topic of questions to everybody.
const BroadcastTopic = pubsub.Reserved + "find"

// Bounds on broadcasts. Each peer passes a question on once, to its neighbours in the topic's mesh (12 at most) and, the asker, to all its neighbours; it is answered by as many peers as its radius says.
const (
	// maxRadius is the most peers that may answer a question.
	maxRadius = 64
	// broadcastTime is how long answers are waited for, broadcastQuiet how long since the last one.
	broadcastTime  = 2 * time.Second
	broadcastQuiet = 500 * time.Millisecond
	// broadcastGrace is how long since the last answer more are waited for, though as many came as are expected: where views are partial, peers beyond the radius may answer, and sooner.
	broadcastGrace = 100 * time.Millisecond
	// maxUnanswered is how many questions of others wait to be looked at, maxAnswering how many are answered at once. Others are dropped.
	maxUnanswered = 256
	maxAnswering  = 32
	// maxBroadcasts is how many questions of this node are under way at once.
	maxBroadcasts = 64
)

// FoundProtocol returns the id of the protocol in which broadcast questions are answered.
func FoundProtocol(n swarm.NetworkID) protocol.ID { return n.Protocol("found/1") }

// Gossip carries a message to everybody; *pubsub.Service does.
type Gossip interface {
	// Handle has every message of a topic checked, passed on, and handed to take.
	Handle(topic string, check pubsub.Check, take func(pubsub.Message)) error
	// Announce publishes on such a topic.
	Announce(ctx context.Context, topic string, data []byte) error
}

// Broadcast is the Router whose question goes to everybody by gossip. Those who, as far as they see, are among the so many nearest to the point asked about (the radius) answer the asker directly, each for itself:
// nobody can answer for another, and nobody is believed alive who has not answered.
type Broadcast struct {
	finder
	gossip    Gossip
	client    caller
	server    *rpc.Server
	questions chan broadcastQuestion
	answering chan struct{} // one element for each question being answered

	mu      sync.Mutex
	pending map[questionID]*gathering // guarded by mu
}

var _ Finder = (*Broadcast)(nil)

// gathering is a question of this node, and the answers that have come.
type gathering struct {
	answers chan *swim.Claim
	from    map[peer.ID]bool // guarded by Broadcast.mu
}

// NewBroadcast returns a Broadcast that takes part from here on; Run answers others. Close ends that.
func NewBroadcast(cfg LookupConfig, gossip Gossip) (*Broadcast, error) {
	if cfg.Membership == nil || gossip == nil {
		return nil, fault.New(fault.Invalid, "broadcast router: Membership and Gossip are needed")
	}
	m := cfg.Membership
	b := &Broadcast{
		finder: finder{m: m, others: cfg.Others}, gossip: gossip, questions: make(chan broadcastQuestion, maxUnanswered),
		answering: make(chan struct{}, maxAnswering), pending: make(map[questionID]*gathering),
	}
	b.seek = b.search
	p := FoundProtocol(m.cfg.Network)
	client, err := rpc.NewClient(rpc.ClientConfig{Host: m.host, Protocol: p, MaxMessage: maxMessage, MaxInFlight: maxCalls, Logger: m.logger})
	if err != nil {
		return nil, fmt.Errorf("make the broadcast router's client: %w", err)
	}
	b.client = client
	b.server, err = rpc.NewServer(rpc.ServerConfig{Host: m.host, Protocol: p, MaxMessage: maxMessage, MaxInFlight: maxCalls, Handler: b.handleFound, Logger: m.logger})
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("serve the broadcast router's protocol: %w", err)
	}
	if err := gossip.Handle(BroadcastTopic, b.check, b.take); err != nil {
		b.Close()
		return nil, fmt.Errorf("take part in broadcasts: %w", err)
	}
	return b, nil
}

// Close stops to take answers. Run must have returned, or never been called.
func (b *Broadcast) Close() error {
	err := b.server.Close()
	b.client.Close()
	return err
}

// Run answers the questions of others until ctx ends; then it waits for the answers under way and returns nil.
func (b *Broadcast) Run(ctx context.Context) error {
	var answers sync.WaitGroup
	defer answers.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case q := <-b.questions:
			if !b.within(&q) {
				continue
			}
			select {
			case b.answering <- struct{}{}:
			default:
				continue
			}
			answers.Go(func() {
				defer func() { <-b.answering }()
				if err := b.answer(ctx, &q); err != nil {
					b.m.logger.Debug("a broadcast question is not answered", "peer", q.Asker.ID, "error", err)
				}
			})
		}
	}
}

// search broadcasts a question and gathers the answers.
func (b *Broadcast) search(ctx context.Context, target [sha256.Size]byte, n int) (*search, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, fault.As(fault.Unavailable, err)
	}
	s := b.m.newSearch(target, n)
	radius := min(max(n, 1)+searchSpare, maxRadius)
	known := b.expect(s, radius)
	s.contacts = s.keepAnswered()
	if known == 0 {
		return s, 0, nil
	}
	q := broadcastQuestion{Target: target, Radius: uint8(radius), Asker: b.self()}
	rand.Read(q.ID[:])
	g := &gathering{answers: make(chan *swim.Claim, maxRadius), from: make(map[peer.ID]bool)}
	if err := b.begin(q.ID, g); err != nil {
		return nil, 0, err
	}
	defer b.end(q.ID)
	data, err := encode(&q)
	if err != nil {
		return nil, 0, err
	}
	if err := b.gossip.Announce(ctx, BroadcastTopic, data); err != nil {
		return nil, 0, fmt.Errorf("broadcast: %w", err)
	}
	answers, err := g.gather(ctx, s, known, b.m.View().Partial)
	if err == nil && answers == 0 {
		err = fault.New(fault.Unavailable, "nobody answered the broadcast")
	}
	return s, answers, err
}

// expect returns how many others are to answer: all that the view has within the radius, or in a partial view as many as the radius says.
func (b *Broadcast) expect(s *search, radius int) int {
	alive := b.m.View().Count(Alive) - 1
	if b.m.View().Partial || alive >= radius {
		_, self, _ := s.place(b.m.host.ID())
		if self < radius {
			return radius - 1
		}
		return radius
	}
	return alive
}

func (b *Broadcast) self() sealedClaim {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	return sealedOf([]*swim.Claim{b.m.machine.Self()})[0]
}

func (b *Broadcast) begin(id questionID, g *gathering) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) >= maxBroadcasts {
		return fault.New(fault.Unavailable, "%d broadcasts are under way already", maxBroadcasts)
	}
	b.pending[id] = g
	return nil
}

func (b *Broadcast) end(id questionID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pending, id)
}

// gather takes answers in until as many came as are expected, and where views are partial no more follow, or until no more come.
func (g *gathering) gather(ctx context.Context, s *search, expected int, partial bool) (answers int, err error) {
	end := time.NewTimer(broadcastTime)
	defer end.Stop()
	quiet := time.NewTimer(broadcastTime)
	defer quiet.Stop()
	for answers < expected || partial {
		select {
		case c := <-g.answers:
			found := s.hear(c)
			found.state, found.depth = answered, 1
			answers++
			if answers < expected {
				quiet.Reset(broadcastQuiet)
			} else {
				quiet.Reset(broadcastGrace)
			}
		case <-quiet.C:
			return answers, nil
		case <-end.C:
			return answers, nil
		case <-ctx.Done():
			return answers, fault.As(fault.Unavailable, ctx.Err())
		}
	}
	return answers, nil
}

// check says whether a question is passed on.
func (b *Broadcast) check(author peer.ID, data []byte) error {
	var q broadcastQuestion
	if err := decode(data, &q); err != nil {
		return fault.As(fault.Invalid, err)
	}
	if q.Asker.ID != author {
		return fault.New(fault.Invalid, "%s asks in the name of %s", author, q.Asker.ID)
	}
	if author != b.m.host.ID() && !b.m.limits.allow(author, limitBroadcasts) {
		return errTooOften("broadcasts")
	}
	return nil
}

// take has a question looked at, unless too many wait.
func (b *Broadcast) take(m pubsub.Message) {
	var q broadcastQuestion
	if m.Author == b.m.host.ID() || decode(m.Data, &q) != nil {
		return
	}
	select {
	case b.questions <- q:
	default:
	}
}

// within says whether this node is within a question's radius, as far as it sees. A partial view shows too few of those nearer to a point far away; but where all who share View.Near bits with this node are
// as many as the radius, as many are nearer to a point that shares fewer.
func (b *Broadcast) within(q *broadcastQuestion) bool {
	view := b.m.View()
	self := sha256.Sum256([]byte(view.Self))
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if view.Partial && sharedBits(self, q.Target) < view.Near {
		neighbours := b.m.machine.Closest(self, int(q.Radius))
		farthest := neighbours[len(neighbours)-1].ID
		if len(neighbours) == int(q.Radius) && sharedBits(self, sha256.Sum256([]byte(farthest))) >= view.Near {
			return false
		}
	}
	return slices.ContainsFunc(b.m.machine.Closest(q.Target, int(q.Radius)), func(c *swim.Claim) bool { return c.ID == view.Self })
}

// sharedBits returns how many leading bits a and b have in common.
func sharedBits(a, b [sha256.Size]byte) int {
	for i, x := range swim.Distance(a, b) {
		if x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * sha256.Size
}

// answer tells the asker of this node.
func (b *Broadcast) answer(ctx context.Context, q *broadcastQuestion) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asker, err := openSealed(b.m.cfg.Network, q.Asker.ID, q.Asker)
	if err != nil {
		return err
	}
	if _, err := b.m.connect(ctx, asker.ID, asker.Addrs); err != nil {
		return fmt.Errorf("connect to the asker: %w", err)
	}
	request, err := encode(&broadcastAnswer{ID: q.ID, Claim: b.self()})
	if err != nil {
		return err
	}
	_, err = b.client.Call(ctx, asker.ID, request)
	return err
}

// handleFound takes the answer of a peer, which is about itself. One that nobody waits for any more is no offence.
func (b *Broadcast) handleFound(_ context.Context, from peer.ID, request []byte) ([]byte, error) {
	if !b.m.limits.allow(from, limitFound) {
		return nil, errTooOften("answers to broadcasts")
	}
	var a broadcastAnswer
	if err := decode(request, &a); err != nil {
		return nil, err
	}
	if a.Claim.ID != from || !b.awaits(a.ID, from) {
		return nil, nil
	}
	c, err := openSealed(b.m.cfg.Network, from, a.Claim)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.pending[a.ID]
	if g == nil || g.from[from] || c.Departure == swim.Left {
		return nil, nil
	}
	select {
	case g.answers <- c:
		g.from[from] = true
	default:
	}
	return nil, nil
}

func (b *Broadcast) awaits(id questionID, from peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.pending[id]
	return g != nil && !g.from[from]
}
