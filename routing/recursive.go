package routing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing/swim"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// Bounds on recursive questions. One costs at most (recursivePaths + recursiveSpare) * maxBudget messages and as many answers on its way, and then maxAsked at its end; without the spare paths where nobody is lost or slow.
const (
	// recursivePaths is to how many peers a question goes at once, so that one that lies or is lost does no harm.
	recursivePaths = 3
	// recursiveSpare is how many more peers are turned to when those fail.
	recursiveSpare = 3
	// maxBudget is how many messages a question on one path may cause, which each peer divides among those that it passes it on to.
	maxBudget = 32
	// recursiveTries is to how many peers, one after the other, a peer passes a question on.
	recursiveTries = 3
	// recursivePatience is how long the asker waits for an answer. Each peer on the way has less time, so that it can answer before the one that asked it has given up.
	recursivePatience = 3 * time.Second
	// patienceParts is in how many parts a peer divides the time it has: after one it turns to another peer too, and the last is left for the way back. The last peers on the way
	// have the least time, so that they turn to others first.
	patienceParts = 8
	// minPatience is the least time for which a question is passed on.
	minPatience = 50 * time.Millisecond
	// maxPassing is how many questions of others a node has passed on and waits for; more are refused.
	maxPassing = 512
)

// RecursiveProtocol returns the id of the protocol in which questions are passed on.
func RecursiveProtocol(n swarm.NetworkID) protocol.ID { return n.Protocol("recursive/1") }

// Recursive is the Router whose question goes from peer to peer, each nearer to the point asked about than the one before, so that it can't go round in circles. The last one, which knows nobody nearer, answers
// with the peers nearest to the point, and the answer comes back the same way; each peer on it adds what it knows and drops an answer with claims that nobody signed. The asker
// believes what its own view confirms, and asks the others itself.
type Recursive struct {
	finder
	client  caller
	server  *rpc.Server
	passing chan struct{} // one element for each question of others that was passed on
}

var _ Finder = (*Recursive)(nil)

// NewRecursive returns a Recursive that answers others from here on. Close ends that.
func NewRecursive(cfg LookupConfig) (*Recursive, error) {
	if cfg.Membership == nil {
		return nil, fault.New(fault.Invalid, "recursive router: Membership is needed")
	}
	m := cfg.Membership
	r := &Recursive{finder: finder{m: m, others: cfg.Others}, passing: make(chan struct{}, maxPassing)}
	r.seek = r.search
	p := RecursiveProtocol(m.cfg.Network)
	client, err := rpc.NewClient(rpc.ClientConfig{Host: m.host, Protocol: p, MaxMessage: maxMessage, MaxInFlight: maxCalls, Logger: m.logger})
	if err != nil {
		return nil, fmt.Errorf("make the recursive router's client: %w", err)
	}
	r.client = client
	r.server, err = rpc.NewServer(rpc.ServerConfig{Host: m.host, Protocol: p, MaxMessage: maxMessage, MaxInFlight: maxCalls, Handler: r.handle, Logger: m.logger})
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("serve the recursive router's protocol: %w", err)
	}
	return r, nil
}

// Close stops to answer. Every call of its methods must have returned.
func (r *Recursive) Close() error {
	err := r.server.Close()
	r.client.Close()
	return err
}

// search asks on several paths, and then those whom the answers tell of and the view doesn't know.
func (r *Recursive) search(ctx context.Context, target [sha256.Size]byte, n int) (*search, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, fault.As(fault.Unavailable, err)
	}
	s := r.m.newSearch(target, n)
	var heads []*swim.Claim
	for _, c := range s.contacts {
		if c.state == heard {
			c.state = answered // it is alive as the view has it
			heads = append(heads, c.claim)
		}
	}
	heads = heads[:min(len(heads), recursivePaths+recursiveSpare)]
	q := question{Target: target, Count: uint8(min(max(1, s.width), maxClosest)), Budget: maxBudget, Patience: uint16(recursivePatience.Milliseconds())}
	w := way{r: r, s: s, q: q, next: heads, wanted: recursivePaths, atOnce: recursivePaths, budget: eachBudget}
	answers := w.travel(ctx)
	if err := ctx.Err(); err != nil {
		return nil, 0, fault.As(fault.Unavailable, err)
	}
	if len(heads) > 0 && answers == 0 {
		return nil, 0, fault.New(fault.Unavailable, "none of %d peers answered", len(heads))
	}
	s.width = max(1, n)
	before := s.answers()
	if err := r.m.ask(ctx, s); err != nil {
		return nil, 0, err
	}
	return s, answers + s.answers() - before, nil
}

// handle answers a question of another peer, for which it may pass it on.
func (r *Recursive) handle(ctx context.Context, from peer.ID, request []byte) ([]byte, error) {
	var q question
	if err := decode(request, &q); err != nil {
		return nil, err
	}
	if !r.m.limits.allow(from, limitQuestions) {
		return encode(&recursiveAnswer{Refused: true})
	}
	s := r.m.newSearch(q.Target, int(q.Count))
	hops := 0
	if next := r.nearer(s, from); len(next) > 0 && q.Budget > 1 {
		select {
		case r.passing <- struct{}{}:
		default:
			return encode(&recursiveAnswer{Refused: true})
		}
		defer func() { <-r.passing }()
		w := way{r: r, s: s, q: q.passedOn(), next: next, wanted: 1, atOnce: 1, budget: int(q.Budget) - 1}
		w.travel(ctx)
		hops = w.hops
	}
	answer := recursiveAnswer{Hops: uint8(min(hops, maxBudget))}
	for _, c := range s.nearest() {
		if len(answer.Claims) < int(q.Count) && c.claim.Sealed != nil {
			answer.Claims = append(answer.Claims, sealedOf([]*swim.Claim{c.claim})...)
		}
	}
	return encode(&answer)
}

// nearer returns the peers to pass a question on to, nearest first: those nearer to its point than this node, and not who asked.
func (r *Recursive) nearer(s *search, from peer.ID) []*swim.Claim {
	var next []*swim.Claim
	for _, c := range s.contacts {
		if c.id == r.m.host.ID() || len(next) == recursiveTries {
			break
		}
		if c.id != from {
			next = append(next, c.claim)
		}
	}
	return next
}

// way is a question on its way from this node: it goes to some peers at once and to others in place of those that fail or are slow.
type way struct {
	r      *Recursive
	s      *search // takes the answers in
	q      question
	next   []*swim.Claim // to whom it goes, in this order
	wanted int           // how many answers are enough
	atOnce int           // to how many it goes at first
	budget int           // how many messages it may still cause; eachBudget: q.Budget on each path
	hops   int           // the longest way that an answer came
}

// eachBudget is for the asker, who has as much for each path.
const eachBudget = -1

// said is what came back from a peer.
type said struct {
	contact *contact
	answer  recursiveAnswer
	err     error
}

// travel sends the question and returns how many peers answered it.
func (w *way) travel(ctx context.Context) (answers int) {
	patience := time.Duration(w.q.Patience) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	replies := make(chan said, len(w.next))
	sent, under := 0, 0
	send := func() {
		if sent == len(w.next) || w.budget == 0 {
			return
		}
		claim := w.next[sent]
		q := w.q
		q.Budget = w.share()
		w.mark(claim.ID, heard)
		sent++
		under++
		calls.Go(func() {
			answer, err := w.r.pass(ctx, claim, &q)
			replies <- said{&contact{id: claim.ID, claim: claim}, answer, err}
		})
	}
	for range w.atOnce {
		send()
	}
	slow := time.NewTicker(max(patience/patienceParts, time.Millisecond))
	defer slow.Stop()
	for under > 0 {
		select {
		case reply := <-replies:
			under--
			if w.takeIn(&reply) {
				answers++
			} else {
				send()
			}
			if answers == w.wanted {
				return answers
			}
		case <-slow.C:
			if answers > 0 {
				return answers // who is slow is not waited for
			}
			send()
		case <-ctx.Done():
			return answers
		}
	}
	return answers
}

// share returns how many messages the next peer may cause: three quarters of those that are left, so that the way can be long and there is something left for others.
func (w *way) share() uint8 {
	if w.budget == eachBudget {
		return w.q.Budget
	}
	share := w.budget - w.budget/4
	w.budget -= share
	return uint8(share)
}

func (w *way) mark(p peer.ID, state contactState) {
	if _, i, found := w.s.place(p); found {
		w.s.contacts[i].state = state
	}
}

// takeIn takes in what came back, and reports whether it was an answer.
func (w *way) takeIn(reply *said) bool {
	if reply.err == nil && reply.answer.Refused {
		w.mark(reply.contact.id, answered)
		return false
	}
	w.r.m.takeIn(w.s, repliedBy(reply))
	w.mark(reply.contact.id, reply.contact.state)
	if reply.contact.state != answered {
		return false
	}
	w.hops = max(w.hops, int(reply.answer.Hops)+1)
	return true
}

// repliedBy returns an answer as that of a lookup, so that it is checked the same way.
func repliedBy(s *said) reply {
	s.contact.depth = s.answer.Hops
	return reply{contact: s.contact, claims: s.answer.Claims, err: s.err}
}

// pass sends a question to a peer and waits for its answer.
func (r *Recursive) pass(ctx context.Context, to *swim.Claim, q *question) (recursiveAnswer, error) {
	var answer recursiveAnswer
	if _, err := r.m.connect(ctx, to.ID, to.Addrs); err != nil {
		return answer, fmt.Errorf("connect to %s: %w", to.ID, err)
	}
	request, err := encode(q)
	if err != nil {
		return answer, err
	}
	response, err := r.client.Call(ctx, to.ID, request)
	if err != nil {
		return answer, err
	}
	if err := decode(response, &answer); err != nil {
		return answer, fmt.Errorf("answer of %s: %w", to.ID, err)
	}
	if len(answer.Claims) > int(q.Count) {
		return answer, fmt.Errorf("answer of %s: %w: %d claims, %d were asked for", to.ID, errMalformed, len(answer.Claims), q.Count)
	}
	return answer, nil
}
