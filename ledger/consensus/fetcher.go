package consensus

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/p2p"
	ssproto "github.com/cometbft/cometbft/proto/tendermint/statesync"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/statesync"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// snapshotReactor is CometBFT's state sync, without what would harm: answers that nobody asked for, snapshots that cannot be any, and chunks that are not those of the snapshot that is fetched, which it would
// otherwise keep until it is too late to tell who sent them. It asks for snapshots once and waits for the answers, where CometBFT sleeps for a fixed time and then, where there are none, for ever.
type snapshotReactor struct {
	*statesync.Reactor
	engine *Engine

	mu    sync.Mutex
	fetch *fetch // guarded by mu; not nil while the state is fetched
}

// fetch is one attempt to fetch the state.
type fetch struct {
	ctx      context.Context
	provider *provider
	offered  chan struct{} // has room for one; a snapshot was offered

	mu       sync.Mutex
	liars    map[p2p.ID]bool                           // guarded by mu; who sent what is forged
	offers   map[[sha256.Size]byte]map[p2p.ID]p2p.Peer // guarded by mu; who has which snapshot
	gone     bool                                      // guarded by mu; nobody has the one that is fetched any more
	snapshot state.Snapshot                            // guarded by mu; what is being fetched
	next     uint32                                    // guarded by mu; the chunk that is applied next
	senders  map[p2p.ID]bool                           // guarded by mu; of the chunks that were applied
	began    bool                                      // guarded by mu; the application is restoring
	done     bool                                      // guarded by mu; the application has restored a snapshot
}

// begin makes an attempt the one under way.
func (r *snapshotReactor) begin(ctx context.Context, p *provider) *fetch {
	f := &fetch{ctx: ctx, provider: p, offered: make(chan struct{}, 1), liars: make(map[p2p.ID]bool), offers: make(map[[sha256.Size]byte]map[p2p.ID]p2p.Peer)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetch = f
	return f
}

func (r *snapshotReactor) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetch = nil
}

func (r *snapshotReactor) current() *fetch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fetch
}

// SetSwitch stands between the reactor and its switch.
func (r *snapshotReactor) SetSwitch(s p2p.Switcher) { r.Reactor.SetSwitch(patientSwitch{s, r}) }

// patientSwitch waits for answers after it has asked everybody.
type patientSwitch struct {
	p2p.Switcher
	reactor *snapshotReactor
}

// BroadcastAsync asks everybody for snapshots, which is all that the reactor broadcasts, and returns when some are there and others have had time, or nobody has one.
func (s patientSwitch) BroadcastAsync(e p2p.Envelope) {
	s.Switcher.BroadcastAsync(e)
	f := s.reactor.current()
	if f == nil {
		return
	}
	wait := func(d time.Duration, until <-chan struct{}) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-until:
			return true
		case <-f.ctx.Done():
		case <-t.C:
		}
		return false
	}
	if wait(s.reactor.engine.cfg.Sync.find, f.offered) {
		wait(settleTime, nil)
	}
}

// Receive takes a message.
func (r *snapshotReactor) Receive(e p2p.Envelope) {
	if err := r.check(e); err != nil {
		r.Logger.Error("A message about snapshots is refused", "peer", e.Src, "err", err)
		if fault.KindOf(err) == fault.Invalid {
			r.Switch.StopPeerForError(e.Src, err)
		}
		if m, ok := e.Message.(*ssproto.ChunkResponse); ok {
			r.instead(e.Src, m)
		}
		return
	}
	r.Reactor.Receive(e)
	if _, ok := e.Message.(*ssproto.SnapshotsResponse); ok {
		if f := r.current(); f != nil {
			select {
			case f.offered <- struct{}{}:
			default:
			}
		}
	}
}

// RemovePeer notes that a peer is gone.
func (r *snapshotReactor) RemovePeer(p p2p.Peer, reason any) {
	r.Reactor.RemovePeer(p, reason)
	if f := r.current(); f != nil {
		f.left(p.ID())
		r.hurryIfGone()
	}
}

// instead asks somebody else for a chunk that a peer did not give.
func (r *snapshotReactor) instead(of p2p.Peer, m *ssproto.ChunkResponse) {
	f := r.current()
	if f == nil {
		return
	}
	if m.Missing {
		r.Reactor.RemovePeer(of, nil) // it is not asked for this snapshot any more
	}
	if other := f.another(int64(m.Height), m.Index); other != nil {
		other.TrySend(p2p.Envelope{ChannelID: statesync.ChunkChannel, Message: &ssproto.ChunkRequest{Height: m.Height, Format: snapshotFormat, Index: m.Index}})
	}
	r.hurryIfGone()
}

// another returns a peer that has the snapshot of a height if that is the one that is fetched, and lacks the chunk; nil: there is none.
func (f *fetch) another(height int64, chunk uint32) p2p.Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.snapshot.Height != height || chunk < f.next {
		return nil
	}
	for _, p := range f.offers[f.snapshot.Hash()] { // in no order
		return p
	}
	return nil
}

// hurryIfGone makes the reactor turn to another snapshot where nobody has the one that it waits for.
func (r *snapshotReactor) hurryIfGone() {
	if f := r.current(); f != nil && f.isGone() {
		r.hurry(f)
	}
}

// check returns why a message is not taken. It is fault.Invalid when the peer is to go for it.
func (r *snapshotReactor) check(e p2p.Envelope) error {
	f := r.current()
	switch m := e.Message.(type) {
	case *ssproto.SnapshotsResponse:
		if f == nil || f.lied(e.Src.ID()) {
			return fault.New(fault.Conflict, "nothing was asked")
		}
		s, err := snapshotOf(m.Height, m.Format, m.Chunks, m.Hash, m.Metadata)
		if err != nil {
			f.accuse(e.Src.ID())
			return err
		}
		return f.offer(e.Src, &s)
	case *ssproto.ChunkResponse:
		if f == nil || f.lied(e.Src.ID()) {
			return fault.New(fault.Conflict, "nothing was asked")
		}
		return f.checkChunk(e.Src.ID(), m)
	}
	return nil
}

// snapshotOf returns the snapshot that a message describes.
func snapshotOf(height uint64, format, chunks uint32, hash, metadata []byte) (state.Snapshot, error) {
	s, err := state.ParseSnapshot(metadata)
	switch {
	case err != nil:
		return s, err
	case format != snapshotFormat || uint64(s.Height) != height || len(s.Chunks) != int(chunks) || string(snapshotHash(&s)) != string(hash):
		return s, fault.New(fault.Invalid, "the description of a snapshot contradicts itself")
	}
	return s, nil
}

func (f *fetch) lied(id p2p.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.liars[id]
}

// accuse notes that a peer has lied.
func (f *fetch) accuse(id p2p.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.liars[id] = true
	f.withdraw(id)
}

// maxOffers is how many snapshots of one peer are looked at.
const maxOffers = 10

// offer notes that a peer has a snapshot.
func (f *fetch) offer(by p2p.Peer, s *state.Snapshot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, peers := range f.offers {
		if peers[by.ID()] != nil {
			n++
		}
	}
	if n >= maxOffers {
		return fault.New(fault.Full, "it has offered %d snapshots", n)
	}
	h := s.Hash()
	if f.offers[h] == nil {
		f.offers[h] = make(map[p2p.ID]p2p.Peer)
	}
	f.offers[h][by.ID()] = by
	return nil
}

// left notes that a peer has nothing to offer any more.
func (f *fetch) left(id p2p.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withdraw(id)
}

// withdraw forgets what a peer offered. The caller holds mu.
func (f *fetch) withdraw(id p2p.ID) {
	for h, peers := range f.offers {
		if delete(peers, id); len(peers) == 0 {
			delete(f.offers, h)
		}
	}
	f.look()
}

// look notes whether somebody still has the snapshot that is fetched. The caller holds mu.
func (f *fetch) look() {
	if f.snapshot.Height > 0 {
		f.gone = len(f.offers[f.snapshot.Hash()]) == 0
	}
}

func (f *fetch) isGone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone
}

// checkChunk refuses a chunk that is not one of the snapshot that is fetched.
func (f *fetch) checkChunk(from p2p.ID, m *ssproto.ChunkResponse) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case uint64(f.snapshot.Height) != m.Height:
		return fault.New(fault.NotFound, "it is no chunk of the snapshot that is fetched")
	case m.Missing:
		delete(f.offers[f.snapshot.Hash()], from)
		f.look()
		return fault.New(fault.NotFound, "the snapshot is not kept there any more")
	case int64(m.Index) >= int64(len(f.snapshot.Chunks)) || len(m.Chunk) > state.MaxChunk || chunkHash(m.Chunk) != f.snapshot.Chunks[m.Index]:
		f.liars[from] = true
		f.withdraw(from)
		return fault.New(fault.Invalid, "chunk %d is not that of the snapshot", m.Index)
	}
	return nil
}

// chosen notes what is fetched from now on.
func (f *fetch) chosen(s state.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot, f.next, f.senders, f.began = s, 0, make(map[p2p.ID]bool), true
	f.look()
}

// applied notes a chunk that was applied.
func (f *fetch) applied(sender string) (next, of int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.senders[p2p.ID(sender)] = true
	return int(f.next), len(f.snapshot.Chunks)
}

// forged notes that a snapshot was forged: all who sent chunks of it said that they have it, which nobody does who is honest.
func (f *fetch) forged() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.senders {
		f.liars[id] = true
		f.withdraw(id)
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	return ids
}

// hurry makes the reactor, which waits for a chunk for minutes, give up: it is given the chunk, from nobody, and told so when it wants to apply it.
func (r *snapshotReactor) hurry(f *fetch) {
	f.mu.Lock()
	height, next := f.snapshot.Height, f.next
	f.mu.Unlock()
	if height > 0 {
		r.Reactor.Receive(p2p.Envelope{ChannelID: statesync.ChunkChannel, Src: nobody{}, Message: &ssproto.ChunkResponse{
			Height: uint64(height), Format: snapshotFormat, Index: next, Chunk: []byte{},
		}})
	}
}

// nobody stands for the sender of a message that nobody sent.
type nobody struct{ p2p.Peer }

// ID is empty.
func (nobody) ID() p2p.ID { return "" }

// snapshotConn is what CometBFT's state sync has for an application.
type snapshotConn struct {
	engine  *Engine
	reactor *snapshotReactor // set before anything is asked
}

var _ proxy.AppConnSnapshot = (*snapshotConn)(nil)

// Error returns nil: nothing is between the two.
func (*snapshotConn) Error() error { return nil }

// ListSnapshots tells which snapshots others can fetch: those whose block is here too, since its header is asked for with them. A node that fetched the state has older ones from before perhaps.
func (c *snapshotConn) ListSnapshots(context.Context, *abci.RequestListSnapshots) (*abci.ResponseListSnapshots, error) {
	out := new(abci.ResponseListSnapshots)
	if c.engine.cfg.Snapshots == nil {
		return out, nil
	}
	base := int64(0)
	_ = c.engine.use(func(p *parts) error { // when it does not run, nobody asks
		base = p.blocks.Base()
		return nil
	})
	for _, s := range c.engine.cfg.Snapshots.List() {
		if base == 0 || s.Height < base {
			continue
		}
		out.Snapshots = append(out.Snapshots, &abci.Snapshot{
			Height: uint64(s.Height), Format: snapshotFormat, Chunks: uint32(len(s.Chunks)), Hash: snapshotHash(&s), Metadata: s.Encode(),
		})
	}
	return out, nil
}

// LoadSnapshotChunk gives a chunk out; no bytes where it is not there.
func (c *snapshotConn) LoadSnapshotChunk(_ context.Context, r *abci.RequestLoadSnapshotChunk) (*abci.ResponseLoadSnapshotChunk, error) {
	if c.engine.cfg.Snapshots == nil || r.Format != snapshotFormat || r.Height > 1<<62 {
		return new(abci.ResponseLoadSnapshotChunk), nil
	}
	chunk, err := c.engine.cfg.Snapshots.Chunk(int64(r.Height), r.Chunk)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		c.engine.cfg.Logger.Warn("ledger: a snapshot cannot be given out", "height", r.Height, "error", err)
	}
	return &abci.ResponseLoadSnapshotChunk{Chunk: chunk}, nil
}

// OfferSnapshot begins to restore a snapshot, whose block was checked.
func (c *snapshotConn) OfferSnapshot(ctx context.Context, r *abci.RequestOfferSnapshot) (*abci.ResponseOfferSnapshot, error) {
	answer := func(a abci.ResponseOfferSnapshot_Result) (*abci.ResponseOfferSnapshot, error) {
		return &abci.ResponseOfferSnapshot{Result: a}, nil
	}
	f := c.reactor.current()
	if f == nil || f.ctx.Err() != nil {
		return answer(abci.ResponseOfferSnapshot_ABORT)
	}
	s, err := snapshotOf(r.Snapshot.Height, r.Snapshot.Format, r.Snapshot.Chunks, r.Snapshot.Hash, r.Snapshot.Metadata)
	if err != nil {
		return answer(abci.ResponseOfferSnapshot_REJECT_SENDER)
	}
	tip, err := f.provider.tip(ctx, r.Snapshot.Height)
	if err != nil {
		return answer(abci.ResponseOfferSnapshot_REJECT)
	}
	if err := c.abandon(f); err != nil { // the one before, of which chunks did not come
		return nil, err
	}
	if err := c.engine.cfg.Snapshots.Restore(tip); err != nil {
		return nil, err
	}
	f.chosen(s)
	c.engine.progress.fetching(s.Height, 0, len(s.Chunks))
	return answer(abci.ResponseOfferSnapshot_ACCEPT)
}

// abandon ends a restore that was begun and not finished.
func (c *snapshotConn) abandon(f *fetch) error {
	f.mu.Lock()
	began := f.began
	f.began = false
	f.mu.Unlock()
	if !began {
		return nil
	}
	return c.engine.cfg.Snapshots.Abandon()
}

// ApplySnapshotChunk takes the next chunk, and makes the state that of the snapshot after the last.
func (c *snapshotConn) ApplySnapshotChunk(_ context.Context, r *abci.RequestApplySnapshotChunk) (*abci.ResponseApplySnapshotChunk, error) {
	f := c.reactor.current()
	if f == nil || f.ctx.Err() != nil {
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ABORT}, nil
	}
	if r.Sender == "" { // see hurry
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_REJECT_SNAPSHOT}, c.abandon(f)
	}
	err := c.engine.cfg.Snapshots.Apply(r.Chunk)
	if err == nil {
		done, of := f.applied(r.Sender)
		c.engine.progress.fetching(int64(f.snapshot.Height), done, of)
		if done < of {
			return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ACCEPT}, nil
		}
		err = c.engine.cfg.Snapshots.Finish()
	}
	switch k := fault.KindOf(err); {
	case err == nil:
		f.mu.Lock()
		f.began, f.done = false, true
		f.mu.Unlock()
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ACCEPT}, nil
	case k != fault.Invalid && k != fault.TooLarge:
		return nil, err
	}
	c.engine.cfg.Logger.Warn("ledger: a snapshot is forged, and refused", "height", f.snapshot.Height, "error", err)
	f.applied(r.Sender)
	answer := &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_REJECT_SNAPSHOT, RejectSenders: f.forged()}
	return answer, c.abandon(f)
}
