package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

const (
	// askInterval is how often a member asks others who the members are. With two asked, who is expelled is known everywhere within a few seconds.
	askInterval = 1500 * time.Millisecond
	maxAsked    = 2
	// askTime bounds one question, and proofTime the wait for a proof.
	askTime   = 3 * time.Second
	proofTime = 10 * time.Second
	// presentTime bounds the showing of a receipt.
	presentTime = swarm.ReceiveTimeout
	// maxAnswering is how many members are answered at once to one peer.
	maxAnswering = 2
)

// Chain is the node's copy of the ledger, as a Follower needs it.
type Chain interface {
	Ledger
	// Moved returns a channel that is closed after the next block.
	Moved() <-chan struct{}
	// Roster returns what all members are together, and Members the list, after the block of a height.
	Roster() (ledger.Roster, error)
	Members() (map[string]ledger.Member, ledger.Roster, int64, error)
}

// FollowerConfig configures a Follower.
type FollowerConfig struct {
	Host    host.Host
	Network swarm.NetworkID
	Book    *Book
	// Chain is the node's copy of the ledger; nil: it has none.
	Chain Chain
	// Lobby is that of the host. Where the node has no ledger, members that have it answer strangers in its place.
	Lobby *Lobby
	// Refused is told of members that refuse this node, and why; nil: nobody. It must not block.
	Refused func(by peer.ID, err error)
	// Logger may be nil.
	Logger *slog.Logger
}

// Follower keeps a Book up to date, tells other members what it says, and shows the receipt to members that do not know this node yet. Make it with Follow, then call Run and Close.
type Follower struct {
	cfg    FollowerConfig
	client *rpc.Client
	server *rpc.Server
	shown  *shown
	doubts doubts
	desk   *desk          // nil: there is no lobby
	tasks  sync.WaitGroup // presentations under way
	ctx    context.Context
	cancel context.CancelFunc
}

// Follow begins to answer others.
func Follow(cfg FollowerConfig) (*Follower, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{cfg: cfg, shown: newShown()}
	p := cfg.Network.Protocol(rosterName)
	var err error
	f.client, err = rpc.NewClient(rpc.ClientConfig{Host: cfg.Host, Protocol: p, MaxMessage: MaxReceipt, MaxInFlight: 1, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("follow the members: %w", err)
	}
	f.server, err = rpc.NewServer(rpc.ServerConfig{Host: cfg.Host, Protocol: p, MaxMessage: MaxReceipt, MaxInFlight: maxAnswering, Handler: f.serve, Logger: cfg.Logger})
	if err != nil {
		_ = f.client.Close()
		return nil, fmt.Errorf("follow the members: %w", err)
	}
	if cfg.Lobby != nil {
		if f.desk, err = openDesk(cfg); err != nil {
			_ = f.server.Close()
			_ = f.client.Close()
			return nil, fmt.Errorf("follow the members: %w", err)
		}
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	cfg.Host.SetStreamHandler(LobbyProtocol(cfg.Network), f.present)
	return f, nil
}

// Close stops answering. Run has returned.
func (f *Follower) Close() error {
	f.cfg.Host.RemoveStreamHandler(LobbyProtocol(f.cfg.Network))
	f.cancel()
	f.tasks.Wait()
	err := errors.Join(f.server.Close(), f.client.Close())
	if f.desk != nil {
		err = errors.Join(err, f.desk.close())
	}
	return err
}

// present shows this node's receipt to a member that has stopped it at the door. Who says that this node was expelled is believed if it proves that.
func (f *Follower) present(s network.Stream) {
	defer s.Reset()
	ctx, cancel := context.WithTimeout(f.ctx, presentTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	by := s.Conn().RemotePeer()
	proof, height := f.cfg.Book.Receipt()
	if f.doubts.about(by) || !f.shown.allow(by, len(proof)) {
		return
	}
	v, expelled, err := exchange(s, presentKind, presentation(proof, height))
	_ = s.CloseWrite()
	if err == nil && len(expelled) > 0 {
		f.adopt(by, expelled, height)
	}
	if err == nil {
		err = v.err(by)
	}
	if err != nil && f.cfg.Refused != nil && (v == refusedStranger || v == refusedExpelled) {
		f.cfg.Refused(by, err)
	}
	if err != nil {
		f.cfg.Logger.Debug("stopped at a member's door", "peer", by, "error", err)
	}
}

// adopt takes over what a member's receipt proves, which must be of a later block than the given one. Who sends one that proves nothing isn't asked for a while.
func (f *Follower) adopt(by peer.ID, receipt []byte, after int64) {
	if err := f.cfg.Book.adopt(receipt, after); err != nil {
		f.doubts.add(by)
		f.cfg.Logger.Warn("a member's receipt proves nothing", "peer", by, "error", err)
	}
}

// serve answers a member that asks who the members are: with a receipt if this node can prove a later list and has not sent too many, and else with nothing.
func (f *Follower) serve(_ context.Context, from peer.ID, request []byte) ([]byte, error) {
	roster, height, ok := parseRosterRequest(request)
	if !ok {
		return nil, fault.New(fault.Invalid, "malformed question about members")
	}
	proof, proven := f.cfg.Book.Receipt()
	if proof == nil || proven <= height || f.cfg.Book.Roster() == roster || !f.shown.allow(from, len(proof)) {
		return nil, nil
	}
	return proof, nil
}

// Run follows the ledger and asks others until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	if f.cfg.Chain != nil {
		parts.Go(func() { f.followChain(ctx) })
	}
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.askOthers(ctx)
		}
	}
}

// followChain takes over what each block says.
func (f *Follower) followChain(ctx context.Context) {
	for {
		moved := f.cfg.Chain.Moved()
		if err := f.lookAtChain(ctx); err != nil && ctx.Err() == nil {
			f.cfg.Logger.Warn("the ledger does not say who the members are", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-moved:
		}
	}
}

func (f *Follower) lookAtChain(ctx context.Context) error {
	roster, err := f.cfg.Chain.Roster()
	if err != nil {
		return err
	}
	if roster.Count == 0 {
		return nil // the ledger has not begun
	}
	if roster != f.cfg.Book.Roster() {
		members, roster, height, err := f.cfg.Chain.Members()
		if err != nil {
			return err
		}
		f.cfg.Book.Learn(members, roster, height)
	}
	if f.cfg.Book.Proven() || roster != f.cfg.Book.Roster() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	proof, err := f.cfg.Chain.Receipt(ctx)
	if err != nil {
		f.cfg.Logger.Debug("no receipt of the members yet", "error", err)
		return nil // the next block tries again
	}
	return f.cfg.Book.Adopt(proof)
}

// askOthers asks some connected members.
func (f *Follower) askOthers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	peers := slices.DeleteFunc(f.cfg.Host.Network().Peers(), f.doubts.about)
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, p := range peers[:min(len(peers), maxAsked)] {
		asking.Go(func() {
			height := f.cfg.Book.Height()
			answer, err := f.client.Call(ctx, p, rosterRequest(f.cfg.Book.Roster(), height))
			switch {
			case err == nil && len(answer) > 0:
				f.adopt(p, answer, height)
			case err != nil && ctx.Err() == nil:
				f.cfg.Logger.Debug("members: no news", "peer", p, "error", err)
			}
		})
	}
}
