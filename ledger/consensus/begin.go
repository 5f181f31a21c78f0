package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// beginning gets a node that has no block yet what the others have: see Sync.
type beginning struct {
	engine   *Engine
	parts    *parts
	asker    *asker
	provider *provider
}

// begin fetches the state, or finds that blocks are the better way, and then lets the block sync begin. It returns when ctx ends, or that is done.
func (e *Engine) begin(ctx context.Context, p *parts) {
	state := p.first
	if e.cfg.Sync.Mode != Blocks || e.cfg.Sync.Trust != nil {
		asker, err := e.newAsker(p)
		if err != nil {
			e.fail(fmt.Errorf("ask other nodes for the ledger: %w", err))
			return
		}
		b := &beginning{engine: e, parts: p, asker: asker, provider: newProvider(ctx, p.genesis, asker)}
		state, err = b.run(ctx)
		if err = errors.Join(err, asker.close()); err != nil {
			if ctx.Err() == nil {
				e.fail(err)
			}
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	e.progress.enter(StageBlocks)
	if err := p.blocksync.begin(state); err != nil {
		e.fail(fmt.Errorf("begin to fetch blocks: %w", err))
		return
	}
	p.blocksync.meet(ctx)
}

// run returns the state to go on from with blocks. An error is one with which the ledger cannot go on.
func (b *beginning) run(ctx context.Context) (sm.State, error) {
	pause := min(minPause, b.engine.cfg.Sync.find)
	for round := 1; ; round++ {
		b.engine.progress.enter(StagePeers)
		tips := b.tips(ctx)
		if ctx.Err() != nil {
			return sm.State{}, ctx.Err()
		}
		wanted, err := b.wanted(ctx, tips)
		if err == nil && !wanted {
			return b.parts.first, nil
		}
		if err == nil {
			var state sm.State
			if state, err = b.fetch(ctx); err == nil {
				return state, nil
			}
		}
		if fault.KindOf(err) == fault.Conflict || ctx.Err() != nil { // another history than the one that is trusted, or the end
			return sm.State{}, err
		}
		b.engine.progress.note(err.Error())
		if round >= maxRounds && b.engine.cfg.Sync.Mode == Auto && b.engine.cfg.Sync.Trust == nil && fromTheFirst(tips) {
			b.engine.cfg.Logger.Warn("ledger: the state cannot be fetched; all blocks since the genesis are fetched instead", "error", err)
			return b.parts.first, nil
		}
		b.engine.cfg.Logger.Info("ledger: the state cannot be fetched yet", "error", err)
		select {
		case <-ctx.Done():
			return sm.State{}, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPauseRounds)
		b.provider = newProvider(ctx, b.parts.genesis, b.asker) // what a liar left out of the changes of validators would be missing for ever
	}
}

// tips asks the members which blocks they have, until one has answered and the others were given time to. It returns nothing when ctx ends.
func (b *beginning) tips(ctx context.Context) []tip {
	m := meeting{known: b.engine.cfg.Peers.Known, self: b.engine.cfg.Host.ID()}
	for {
		list := b.askTips(ctx)
		if over := m.over(func(id peer.ID) bool { return slices.ContainsFunc(list, func(t tip) bool { return t.peer == id }) }); over && len(list) > 0 {
			slices.SortFunc(list, func(x, y tip) int { return cmp.Compare(y.height, x.height) })
			b.engine.progress.aim(list[0].height)
			return list
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(meetInterval):
		}
	}
}

func (b *beginning) askTips(ctx context.Context) (list []tip) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range b.asker.members() {
		all.Go(func() {
			if t, err := b.asker.tip(ctx, id); err == nil {
				mu.Lock()
				defer mu.Unlock()
				list = append(list, t)
			}
		})
	}
	all.Wait()
	return list
}

// fromTheFirst reports whether somebody says to have all blocks since the genesis, or that there are none.
func fromTheFirst(tips []tip) bool {
	return slices.ContainsFunc(tips, func(t tip) bool { return t.base <= 1 })
}

// wanted says whether the state is to be fetched, rather than the blocks. What somebody says to have is believed when they show a header of it.
func (b *beginning) wanted(ctx context.Context, tips []tip) (bool, error) {
	c := &b.engine.cfg.Sync
	if tips[0].height == 0 { // the ledger begins now
		return false, nil
	}
	far := c.Mode == State || c.Mode == Auto && (tips[0].height >= c.Behind || !fromTheFirst(tips))
	if !far && c.Trust == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, trustTime)
	defer cancel()
	height, err := b.verified(ctx, tips)
	if err != nil {
		return false, err
	}
	b.engine.progress.aim(height)
	if _, err := b.provider.turns(ctx, max(1, height-turnsAhead)); err != nil { // CometBFT would not wait for long
		return false, err
	}
	if c.Trust != nil {
		if err := b.provider.checkTrust(ctx, c.Trust); err != nil {
			return false, err
		}
	}
	return c.Mode == State || c.Mode == Auto && (height >= c.Behind || !fromTheFirst(tips)), nil
}

// verified returns the greatest height that somebody shows a header for.
func (b *beginning) verified(ctx context.Context, tips []tip) (int64, error) {
	var errs []error
	for _, t := range tips {
		if t.height == 0 {
			continue
		}
		err := b.provider.shown(ctx, t.peer, t.height)
		if err == nil {
			return t.height, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", t.peer, err))
	}
	if len(errs) == 0 {
		return 0, fault.New(fault.Unavailable, "no other node has a block yet")
	}
	return 0, fmt.Errorf("nobody shows how the chain leads from the genesis to the last block: %w", errors.Join(errs...))
}

// fetch fetches a snapshot of the state, and writes down what CometBFT needs to go on from there.
func (b *beginning) fetch(ctx context.Context) (sm.State, error) {
	b.engine.progress.enter(StageState)
	r := b.parts.snapshots
	f := r.begin(ctx, b.provider)
	defer r.end()
	watched := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-watched:
			return
		case <-ctx.Done():
		}
		for {
			r.hurry(f)
			select {
			case <-watched:
				return
			case <-time.After(hurryInterval):
			}
		}
	})
	state, commit, err := r.Sync(b.provider, 0)
	close(watched)
	watcher.Wait()
	if err == nil {
		err = b.bootstrap(state, commit)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("fetch the state: %w", err), b.back(f))
		return sm.State{}, err
	}
	b.engine.cfg.Logger.Info("ledger: the state was fetched", "height", state.LastBlockHeight)
	return state, nil
}

// back makes the application's state that of the genesis again after a fetch that failed.
func (b *beginning) back(f *fetch) error {
	f.mu.Lock()
	began, done := f.began, f.done
	f.mu.Unlock()
	switch {
	case began:
		return b.engine.cfg.Snapshots.Abandon()
	case done:
		return b.engine.cfg.Snapshots.Reset()
	}
	return nil
}

// bootstrap writes down what CometBFT needs, with the changes of validators that lead from the genesis. The state comes last, and is synced: until it is there, the node has nothing, and begins anew.
func (b *beginning) bootstrap(state sm.State, commit *types.Commit) (err error) {
	defer func() {
		if r := recover(); r != nil { // CometBFT's way to say that it could not write
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	b.parts.conns.witness(commit)
	if err := b.parts.history.keep(b.provider.through(state.LastBlockHeight + 1)); err != nil {
		return err
	}
	if err := b.parts.blocks.SaveSeenCommit(state.LastBlockHeight, commit); err != nil {
		return fmt.Errorf("keep the commit of block %d: %w", state.LastBlockHeight, err)
	}
	if err := b.parts.states.Bootstrap(state); err != nil {
		return fmt.Errorf("keep the chain's state after block %d: %w", state.LastBlockHeight, err)
	}
	b.engine.fetched.Store(state.LastBlockHeight)
	return nil
}

// lacking says that a block which is needed next is gone everywhere, or nothing.
func lacking(tips []tip, next int64) string {
	least := int64(0)
	for _, t := range tips {
		if t.base <= next {
			return ""
		}
		if least == 0 || t.base < least {
			least = t.base
		}
	}
	return fmt.Sprintf("no node that is there keeps block %d, which is needed next: the lowest that they keep is %d; remove this node's ledger (not its validator key) to fetch the state anew", next, least)
}

// followTargets keeps asking how far others are while this node fetches blocks, so that it can be told how much is lacking.
func (e *Engine) followTargets(ctx context.Context, p *parts) {
	asker, err := e.newAsker(p)
	if err != nil {
		return
	}
	defer asker.close()
	b := &beginning{engine: e, parts: p, asker: asker}
	tick := time.NewTicker(targetInterval)
	defer tick.Stop()
	for p.guard.syncing.Load() {
		if e.progress.report().Stage == StageBlocks {
			if list := b.askTips(ctx); len(list) > 0 {
				e.progress.aim(slices.MaxFunc(list, func(x, y tip) int { return cmp.Compare(x.height, y.height) }).height)
				e.progress.warn(lacking(list, max(p.blocks.Height(), e.fetched.Load())+1))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const (
	// targetInterval is how often others are asked how far they are.
	targetInterval = 10 * time.Second
	// turnsAhead is how far below the last block the newest snapshots may be.
	turnsAhead = 50_000
	// hurryInterval is how often a fetch that is to end is told so.
	hurryInterval = 50 * time.Millisecond
)
