package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// Nodes ask one another for what CometBFT's own messages do not carry: which blocks somebody has, and the headers that lead to one.
//
// A question: kind uint8, first uint64, second uint64. An answer: code uint8, then what belongs to the kind:
//
//	questionTip             base uint64, height uint64: the lowest and the highest block; 0: none
//	questionSteps (a, b)    covered uint64, then to the end changes of validators: those at heights above a up to covered, which is at most b
//	questionHeader (height) a signed header
const (
	questionTip    = 1
	questionSteps  = 2
	questionHeader = 3

	answerOK       = 0
	answerNotThere = 1

	questionSize = 1 + 8 + 8
	// maxAnswer is the most bytes of an answer. The changes of validators in one end when they are as many as a quarter of it.
	maxAnswer = 1 << 20
	// maxLooked is how many blocks are looked at for one answer.
	maxLooked = 2_000
	// maxQuestions is how many questions of one peer are answered at a time.
	maxQuestions = 8
	// syncProtocol is the part of the protocol id behind the network's.
	syncProtocol = "ledger-sync/1"
)

func appendQuestion(kind uint8, first, second int64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{kind}, uint64(first))
	return binary.BigEndian.AppendUint64(b, uint64(second))
}

func parseQuestion(data []byte) (kind uint8, first, second int64, err error) {
	if len(data) != questionSize {
		return 0, 0, 0, fault.New(fault.Invalid, "a question of %d bytes: want %d", len(data), questionSize)
	}
	a, b := binary.BigEndian.Uint64(data[1:]), binary.BigEndian.Uint64(data[9:])
	if a > 1<<62 || b > 1<<62 {
		return 0, 0, 0, fault.New(fault.Invalid, "a question for a height that no block has")
	}
	return data[0], int64(a), int64(b), nil
}

// serveQuestions begins to answer questions.
func (e *Engine) serveQuestions() (*rpc.Server, error) {
	return rpc.NewServer(rpc.ServerConfig{
		Host: e.cfg.Host, Protocol: e.cfg.Network.Protocol(syncProtocol), MaxMessage: maxAnswer, MaxInFlight: maxQuestions, Handler: e.answer, Logger: e.cfg.Logger,
	})
}

// answer answers a question. An error is the peer's fault.
func (e *Engine) answer(_ context.Context, from peer.ID, data []byte) ([]byte, error) {
	if !e.cfg.Peers.Allowed(from) {
		return nil, fault.New(fault.Forbidden, "%s may not take part in the ledger", from)
	}
	kind, first, second, err := parseQuestion(data)
	if err != nil {
		return nil, err
	}
	var out []byte
	err = e.use(func(p *parts) (err error) {
		switch kind {
		case questionTip:
			out = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{answerOK}, uint64(p.blocks.Base())), uint64(p.blocks.Height()))
		case questionSteps:
			out, err = p.history.answerSteps(first, second)
		case questionHeader:
			out, err = p.history.answerHeader(first)
		default:
			err = fault.New(fault.NotFound, "question %d is not known", kind)
		}
		return err
	})
	if err != nil {
		e.cfg.Logger.Debug("ledger: a question is not answered", "peer", from, "error", err)
		return []byte{answerNotThere}, nil
	}
	return out, nil
}

func (h *history) answerHeader(height int64) ([]byte, error) {
	_, signed, err := loadSigned(h.blocks, height)
	if fault.KindOf(err) == fault.NotFound { // perhaps one that is kept for ever
		var s light.Step
		var ok bool
		if s, ok, err = h.step(height); err == nil && ok {
			signed = s.Signed
		} else if err == nil || fault.KindOf(err) == fault.NotFound { // or one that was fetched
			signed, err = h.fetchedHeader(height)
		}
	}
	if err != nil {
		return nil, err
	}
	return signed.Append([]byte{answerOK}), nil
}

func (h *history) answerSteps(after, through int64) ([]byte, error) {
	through = min(through, h.blocks.Height()-1)
	heights, err := h.heights(after+1, through)
	if err != nil {
		return nil, err
	}
	out := append([]byte{answerOK}, make([]byte, 8)...)
	covered := max(after, through)
	for i, height := range heights {
		if len(out) > maxAnswer/4 || i == maxLooked {
			covered = height - 1
			break
		}
		s, ok, err := h.step(height)
		if err != nil {
			return nil, err
		}
		if ok {
			out = s.Append(out)
		}
	}
	binary.BigEndian.PutUint64(out[1:], uint64(covered))
	return out, nil
}

// asker asks questions.
type asker struct {
	client  *rpc.Client
	members func() []peer.ID
}

func (e *Engine) newAsker(p *parts) (*asker, error) {
	client, err := rpc.NewClient(rpc.ClientConfig{
		Host: e.cfg.Host, Protocol: e.cfg.Network.Protocol(syncProtocol), MaxMessage: maxAnswer, MaxInFlight: maxQuestions, Logger: e.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &asker{client: client, members: func() []peer.ID { return p.gate.Peers() }}, nil // the gate may come later
}

func (a *asker) close() error { return a.client.Close() }

// ask asks one peer, and returns what follows the answer's code. It is fault.NotFound when the peer does not have it, and fault.Invalid when the answer is none.
func (a *asker) ask(ctx context.Context, to peer.ID, kind uint8, first, second int64) (cryptobyte.String, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	data, err := a.client.Call(ctx, to, appendQuestion(kind, first, second))
	switch {
	case err != nil:
		return nil, err
	case len(data) == 0 || data[0] != answerOK && data[0] != answerNotThere:
		return nil, fault.New(fault.Invalid, "%s gave no answer that can be read", to)
	case data[0] == answerNotThere:
		return nil, fault.New(fault.NotFound, "%s does not have it", to)
	}
	return data[1:], nil
}

// tip is which blocks a peer says that it has.
type tip struct {
	peer         peer.ID
	base, height int64
}

func (a *asker) tip(ctx context.Context, of peer.ID) (tip, error) {
	s, err := a.ask(ctx, of, questionTip, 0, 0)
	if err != nil {
		return tip{}, err
	}
	var base, height uint64
	if !s.ReadUint64(&base) || !s.ReadUint64(&height) || !s.Empty() || base > height || height > 1<<62 {
		return tip{}, fault.New(fault.Invalid, "%s says that it has blocks %d to %d", of, base, height)
	}
	return tip{of, int64(base), int64(height)}, nil
}

func (a *asker) header(ctx context.Context, of peer.ID, height int64) (light.Signed, error) {
	s, err := a.ask(ctx, of, questionHeader, height, 0)
	if err != nil {
		return light.Signed{}, err
	}
	signed, rest, err := light.ReadSigned(s)
	if err == nil && len(rest) > 0 {
		err = fault.New(fault.Invalid, "%s adds something to a header", of)
	}
	return signed, err
}

// steps asks for the changes of validators above one height up to another, and gives each to take.
func (a *asker) steps(ctx context.Context, of peer.ID, after, through int64, take func(*light.Step) error) error {
	for after < through {
		data, err := a.ask(ctx, of, questionSteps, after, through)
		if err != nil {
			return err
		}
		var covered uint64
		if !data.ReadUint64(&covered) || int64(covered) <= after || int64(covered) > through {
			return fault.New(fault.Invalid, "%s tells of the changes of validators up to block %d, asked for those from %d to %d", of, covered, after+1, through)
		}
		for rest := []byte(data); len(rest) > 0; {
			var s light.Step
			if s, rest, err = light.ReadStep(rest); err == nil {
				err = take(&s)
			}
			if err != nil {
				return err
			}
		}
		after = int64(covered)
	}
	return nil
}

// shuffled puts peers in random order.
func shuffled(list []peer.ID) []peer.ID {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// each asks the members in random order, until f returns nil for one.
func (a *asker) each(ctx context.Context, f func(ctx context.Context, p peer.ID) error) error {
	var errs []error
	for _, p := range shuffled(a.members()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f(ctx, p)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", p, err))
	}
	if len(errs) == 0 {
		return fault.New(fault.Unavailable, "no other node of the ledger is there")
	}
	return errors.Join(errs...)
}

// race asks the members in random order, each next one when the one before has failed or taken hedgeTime, until f returns nil for one, and then ends the others.
func (a *asker) race(ctx context.Context, f func(ctx context.Context, p peer.ID) error) error {
	ctx, cancel := context.WithCancel(ctx)
	members := shuffled(a.members())
	results := make(chan error, len(members))
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var errs []error
	for asked := 0; len(errs) < len(members); {
		var next <-chan time.Time
		if asked < len(members) && ctx.Err() == nil {
			p := members[asked]
			asked++
			all.Go(func() {
				err := f(ctx, p)
				if err != nil {
					err = fmt.Errorf("%s: %w", p, err)
				}
				results <- err
			})
			next = time.After(hedgeTime)
		}
		select {
		case err := <-results:
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		case <-next:
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	if len(errs) == 0 {
		return fault.New(fault.Unavailable, "no other node of the ledger is there")
	}
	return errors.Join(errs...)
}
