package consensus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/lp2p"
	"github.com/cometbft/cometbft/p2p"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// keepInterval is how often the peers that are there are compared with those that should be.
	keepInterval = time.Second
	// maxAdding is how many peers are added at a time, and addTime how long each may take.
	maxAdding = 16
	addTime   = 10 * time.Second
	// maxPause is the longest time between two attempts to add a peer; the first is keepInterval, and each is twice the one before.
	maxPause = 30 * time.Second
)

// AddPeer connects to a peer and takes part with it. That Peers told of it is not needed, but it must be allowed. An error is fault.Unavailable when the peer
// cannot be reached or does not want to, and fault.Forbidden when it is not allowed.
func (e *Engine) AddPeer(ctx context.Context, to peer.AddrInfo) error {
	p, err := e.running()
	if err != nil {
		return err
	}
	return e.add(ctx, p, to)
}

// running returns the parts for a use that may take long and touches no database.
func (e *Engine) running() (p *parts, err error) {
	err = e.use(func(now *parts) error {
		p = now
		return nil
	})
	return p, err
}

func (e *Engine) add(ctx context.Context, p *parts, to peer.AddrInfo) error {
	if !e.cfg.Peers.Allowed(to.ID) {
		return fault.New(fault.Forbidden, "add %s to the ledger's peers: it may not take part", to.ID)
	}
	if err := e.cfg.Host.Connect(ctx, to); err != nil {
		return fault.New(fault.Unavailable, "add %s to the ledger's peers: %w", to.ID, err)
	}
	if err := p.gate.Join(ctx, to.ID); err != nil {
		return err
	}
	return p.introduce(ctx, to.ID)
}

// introduce makes CometBFT take a peer in, on both sides: it does so with whoever sends a message, and the answer to this one is another.
func (p *parts) introduce(ctx context.Context, to peer.ID) error {
	if p.swtch.Peers().Has(key(to)) {
		return nil
	}
	s, err := p.gate.NewStream(ctx, to, lp2p.ProtocolID(blocksync.BlocksyncChannel))
	if err != nil {
		return fault.New(fault.Unavailable, "ask %s for its height: %w", to, err)
	}
	m := &bcproto.Message{Sum: &bcproto.Message_StatusRequest{StatusRequest: &bcproto.StatusRequest{}}}
	data, err := m.Marshal()
	if err != nil {
		_ = s.Reset()
		return fmt.Errorf("encode a status request: %w", err)
	}
	if err := lp2p.StreamWriteClose(s, data); err != nil {
		return fault.New(fault.Unavailable, "ask %s for its height: %w", to, err)
	}
	return nil
}

// key is CometBFT's name for a peer.
func key(p peer.ID) p2p.ID { return p2p.ID(p.String()) }

// left makes CometBFT forget a peer and what it believes the peer to have.
func (b *builder) left(id peer.ID) {
	if known := b.swtch.Peers().Get(key(id)); known != nil {
		b.swtch.StopPeerForError(known, "the session ended")
	}
}

// attempt is when a peer may be tried again.
type attempt struct {
	next  time.Time
	pause time.Duration
}

// keeper adds the peers that are missing.
type keeper struct {
	engine *Engine
	parts  *parts
	slots  chan struct{}
	tasks  sync.WaitGroup

	mu    sync.Mutex
	tried map[peer.ID]*attempt // guarded by mu
}

// keepPeers keeps the peers that should be there until ctx ends.
func (e *Engine) keepPeers(ctx context.Context, p *parts) {
	k := &keeper{engine: e, parts: p, slots: make(chan struct{}, maxAdding), tried: make(map[peer.ID]*attempt)}
	defer k.tasks.Wait()
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		k.tidy()
		k.addMissing(ctx)
		k.moveStranded(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidy parts from peers that may no longer take part, and makes CometBFT forget those that it knows of without a session.
func (k *keeper) tidy() {
	for _, id := range k.parts.gate.Peers() {
		if !k.engine.cfg.Peers.Allowed(id) {
			k.parts.gate.Expel(id)
		}
	}
	for _, known := range k.parts.swtch.Peers().Copy() {
		if id, err := peer.Decode(string(known.ID())); err == nil && !k.parts.gate.Present(id) {
			k.parts.swtch.StopPeerForError(known, "there is no session")
		}
	}
}

func (k *keeper) addMissing(ctx context.Context) {
	missing := k.engine.cfg.Peers.Known()
	for _, id := range k.parts.gate.Peers() { // perhaps CometBFT gave one up
		missing = append(missing, peer.AddrInfo{ID: id})
	}
	for _, to := range missing {
		if to.ID == k.engine.cfg.Host.ID() || k.parts.swtch.Peers().Has(key(to.ID)) || !k.due(to.ID) {
			continue
		}
		select {
		case k.slots <- struct{}{}:
		default:
			return // the others wait for the next time
		}
		k.tasks.Go(func() {
			defer func() { <-k.slots }()
			ctx, cancel := context.WithTimeout(ctx, addTime)
			defer cancel()
			err := k.engine.add(ctx, k.parts, to)
			if err != nil {
				k.engine.cfg.Logger.Debug("ledger: peer not added", "peer", to.ID, "error", err)
			}
			k.note(to.ID, err == nil)
		})
	}
}

// moveStranded has sessions move to the direct connections that came after the relayed ones.
func (k *keeper) moveStranded(ctx context.Context) {
	for _, id := range k.parts.gate.Stranded() {
		select {
		case k.slots <- struct{}{}:
		default:
			return
		}
		k.tasks.Go(func() {
			defer func() { <-k.slots }()
			ctx, cancel := context.WithTimeout(ctx, addTime)
			defer cancel()
			if err := k.parts.gate.Join(ctx, id); err != nil {
				k.engine.cfg.Logger.Debug("ledger: session not moved to a direct connection", "peer", id, "error", err)
			}
		})
	}
}

// due says whether a peer is to be tried now, and if so takes it.
func (k *keeper) due(id peer.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.tried[id]
	if a == nil {
		a = &attempt{pause: keepInterval}
		k.tried[id] = a
	}
	if time.Now().Before(a.next) {
		return false
	}
	a.next = time.Now().Add(addTime + a.pause)
	return true
}

func (k *keeper) note(id peer.ID, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ok {
		delete(k.tried, id)
		return
	}
	a := k.tried[id]
	a.next = time.Now().Add(a.pause)
	a.pause = min(2*a.pause, maxPause)
}
