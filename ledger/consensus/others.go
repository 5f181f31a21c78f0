package consensus

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	sm "github.com/cometbft/cometbft/state"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// A validator that decides alone could begin a second history of its network, where its data are older than what it has signed: of a backup, or of a volume that was put back. So it looks at what the others have: before
// it begins, where there may be others; before it votes again after its bar; and as long as it decides alone. Nothing that a peer says counts without the signatures of validators that are known here.
const (
	// DefaultResumeWait is how long nobody who answers may have had a block that is not here until a validator votes again whose owner gave up what it may have signed.
	DefaultResumeWait = 30 * time.Second
	// MinResumeWait bounds it from below: the others must have had time to be found.
	MinResumeWait = time.Second
	// holdTime is how long the only validator waits at its start for the answers of others, where there may be some.
	holdTime = 5 * time.Second
	// lookInterval is how often the others are looked at while the validator waits for its vote, and aloneInterval while it decides alone.
	lookInterval  = time.Second
	aloneInterval = 10 * time.Second
)

// others looks at the chains of other nodes.
type others struct {
	engine *Engine
	parts  *parts
	asker  *asker

	mu       sync.Mutex
	provider *provider // guarded by mu
	target   int64     // the highest block that somebody was seen to have
	quiet    time.Time // since when nobody had a block that is not here
}

// seen is what one look at the others has shown.
type seen struct {
	answers int   // how many answered
	height  int64 // the highest block that somebody has and that is not here, as far as they have shown it; 0: none
}

// watchOthers looks at the others as long as that matters, until ctx ends. It ends the round when the bar was lifted.
func (e *Engine) watchOthers(ctx context.Context, p *parts) {
	if e.cfg.Signer == nil {
		return
	}
	asker, err := e.newAsker(p)
	if err != nil {
		e.fail(fmt.Errorf("ask other nodes for the ledger: %w", err))
		return
	}
	defer asker.close()
	o := &others{engine: e, parts: p, asker: asker, provider: newProvider(ctx, p.genesis, asker), quiet: time.Now()}
	if p.held {
		if err := o.hold(ctx); err != nil {
			e.failOther(ctx, err)
			return
		}
	}
	for {
		pause := aloneInterval
		if e.cfg.Signer.GivenUp() {
			pause = lookInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		lifted, err := o.next(ctx)
		if err != nil {
			e.failOther(ctx, err)
			return
		}
		if lifted {
			p.renew()
			return
		}
	}
}

// failOther ends the ledger at this node, unless it ends anyway.
func (e *Engine) failOther(ctx context.Context, err error) {
	if ctx.Err() == nil {
		e.sound.Store(true)
		e.fail(err)
	}
}

// next looks at the others once, where that matters, and reports whether the bar was lifted.
func (o *others) next(ctx context.Context) (lifted bool, err error) {
	if o.engine.cfg.Signer.GivenUp() {
		return o.probation(ctx)
	}
	chain, err := o.parts.states.Load()
	if err != nil || !o.engine.alone(&chain) {
		return false, err
	}
	_, err = o.look(ctx) // a later block bars the signer, and another history is an error
	return false, err
}

// alone reports whether this node's is the only validator after the last block of a chain, and remains so.
func (e *Engine) alone(chain *sm.State) bool {
	key, err := e.cfg.Signer.GetPubKey()
	return err == nil && chain.Validators.Size() == 1 && chain.NextValidators.Size() == 1 && chain.Validators.HasAddress(key.Address()) && chain.NextValidators.HasAddress(key.Address())
}

// hold lets the only validator begin when all others that are known have answered and none has more than is here, or after holdTime. Where somebody has more, this node's key has signed what this node does not know of: the signer is
// barred then, and the blocks are fetched.
func (o *others) hold(ctx context.Context) error {
	for end := time.Now().Add(holdTime); ; {
		s, err := o.look(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if s.height > 0 {
			o.engine.cfg.Logger.Warn("ledger: others have a later block than this node, which was the only validator: its data are from before", "here", o.parts.first.LastBlockHeight, "others", s.height)
			if err := o.parts.blocksync.begin(o.parts.first); err != nil {
				return fmt.Errorf("begin to fetch blocks: %w", err)
			}
			o.parts.blocksync.meet(ctx)
			return nil
		}
		if s.answers > 0 && s.answers >= o.known() || time.Now().After(end) {
			o.parts.reactor.SwitchToConsensus(o.parts.first, false)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookInterval / 4):
		}
	}
}

// known returns how many others there are, as far as is known.
func (o *others) known() (count int) {
	for _, p := range o.engine.cfg.Peers.Known() {
		if p.ID != o.engine.cfg.Host.ID() {
			count++
		}
	}
	return count
}

// probation looks at the others once for a validator whose owner gave up what it may have signed, and lifts its bar when nobody had a block that is not here for long enough.
func (o *others) probation(ctx context.Context) (lifted bool, err error) {
	s, err := o.look(ctx)
	if err != nil || ctx.Err() != nil {
		return false, err
	}
	chain, err := o.parts.states.Load()
	if err != nil {
		return false, fmt.Errorf("load the chain's state: %w", err)
	}
	now, here := time.Now(), chain.LastBlockHeight
	if here < o.target || s.height > here {
		o.quiet = now
	}
	o.target = max(o.target, s.height)
	quiet, wait, signer := now.Sub(o.quiet), o.engine.cfg.Sync.ResumeWait, o.engine.cfg.Signer
	key, err := signer.GetPubKey()
	if err != nil {
		return false, err
	}
	alone := o.engine.alone(&chain)
	switch {
	case here < o.target || s.height > here:
		o.engine.wait("it is at block %d, and others have block %d", here, max(o.target, s.height))
	case !chain.Validators.HasAddress(key.Address()):
		o.engine.wait(`after block %d its key is no validator's any more: the operators vote in a new one`, here)
	case s.answers == 0 && !alone:
		o.engine.wait("there are other validators after block %d, and none of them answers", here)
	case quiet < wait:
		o.engine.wait("%s of %s are over in which none of the %d others that answer had a later block than %d", quiet.Round(time.Second), wait, s.answers, here)
	default:
		if err := signer.Resume(here, alone); err != nil {
			o.engine.wait("%s", err)
			return false, nil
		}
		o.engine.resumed(s.answers, here, wait)
		return true, nil
	}
	return false, nil
}

// wait notes what a barred validator waits for.
func (e *Engine) wait(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	e.probation.Store(&text)
}

// resumed tells that the bar was lifted, and why.
func (e *Engine) resumed(answers int, height int64, wait time.Duration) {
	e.probation.Store(nil)
	if answers == 0 {
		e.cfg.Logger.Warn("ledger: the validator votes again: it is the only one, and no other node has answered", "waited", wait, "height", height)
		return
	}
	e.cfg.Logger.Warn("ledger: the validator votes again: it has what all others have that answer", "others", answers, "height", height)
}

// look asks all others what they have. A signature of this node's key above what its signer knows of bars the signer. An error of kind fault.Conflict is another history than this node's.
func (o *others) look(ctx context.Context) (all seen, err error) {
	chain, err := o.parts.states.Load()
	if err != nil {
		return all, fmt.Errorf("load the chain's state: %w", err)
	}
	var mu sync.Mutex
	var tasks sync.WaitGroup
	for _, id := range o.asker.members() {
		tasks.Go(func() {
			height, answered, failure := o.compare(ctx, id, &chain)
			mu.Lock()
			defer mu.Unlock()
			if answered {
				all.answers++
			}
			all.height = max(all.height, height)
			if failure != nil && err == nil {
				err = failure
			}
		})
	}
	tasks.Wait()
	return all, err
}

// compare returns the height of a block that a peer has and this node, whose chain is given, has not; 0 when it has shown none. An error of kind fault.Conflict is another history.
func (o *others) compare(ctx context.Context, of peer.ID, chain *sm.State) (height int64, answered bool, err error) {
	t, err := o.asker.tip(ctx, of)
	if err != nil {
		return 0, false, nil // it is not there, or does not want to tell
	}
	here := chain.LastBlockHeight
	if common := min(t.height, here); common >= max(1, t.base) {
		if err := o.sameAt(ctx, of, common, t.base); err != nil {
			return 0, true, err
		}
	}
	if t.height <= here {
		return 0, true, nil
	}
	if t.base > here+1 { // who does not keep the next block may still show the way from the genesis to its last
		if err := o.shown(ctx, of, t.height); err != nil {
			o.engine.cfg.Logger.Debug("ledger: a later block is not shown", "peer", of, "height", t.height, "error", err)
			return 0, true, nil
		}
		return t.height, true, nil
	}
	next, err := o.signed(ctx, of, here+1)
	if err != nil {
		o.engine.cfg.Logger.Debug("ledger: the next block is not shown", "peer", of, "height", here+1, "error", err)
		return 0, true, nil
	}
	if here > 0 && !bytes.Equal(next.header.LastBlockID.Hash, chain.LastBlockID.Hash) {
		return 0, true, historyError(here, chain.LastBlockID.Hash, next.header.LastBlockID.Hash, of)
	}
	o.parts.conns.witness(next.commit)
	return here + 1, true, nil
}

// shown returns nil when a peer shows the header of a block to which the chain leads from the genesis. With keys of former validators a liar can lead the provider astray, to where nobody else's headers follow: so a peer
// whose header does not follow is asked with a new one, which takes the place of the old one if it leads there.
func (o *others) shown(ctx context.Context, of peer.ID, height int64) error {
	o.mu.Lock()
	p := o.provider
	o.mu.Unlock()
	err := p.shown(ctx, of, height)
	if err == nil || ctx.Err() != nil || !p.followed() {
		return err
	}
	p = newProvider(ctx, o.parts.genesis, o.asker)
	if err := p.shown(ctx, of, height); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.provider = p
	return nil
}

// signed returns the header of a block that a peer has, which the validators that are known here for that height have signed.
func (o *others) signed(ctx context.Context, of peer.ID, height int64) (signedAt, error) {
	s, err := o.asker.header(ctx, of, height)
	if err != nil {
		return signedAt{}, err
	}
	validators, err := oldValidators{o.parts.states, o.parts.proofs.headers}.LoadValidators(height)
	if err != nil {
		return signedAt{}, fmt.Errorf("load the validators of block %d: %w", height, err)
	}
	h, commit, err := light.NewChain(o.parts.genesis.ChainID, height, validators).Header(&s)
	if err == nil && h.Height != height {
		err = fault.New(fault.Invalid, "%s gave the header of block %d for that of block %d", of, h.Height, height)
	}
	return signedAt{h, commit}, err
}

// same reports whether a peer, which has blocks from base on, says to have the block that is here at a height; also when it does not say.
func (o *others) same(ctx context.Context, of peer.ID, height int64) bool {
	meta := o.parts.proofs.headers.LoadBlockMeta(height)
	s, err := o.asker.header(ctx, of, height)
	if meta == nil || err != nil {
		return true
	}
	own, err := light.EncodeHeader(&meta.Header)
	return err != nil || bytes.Equal(own, s.Header)
}

// sameAt returns an error of kind fault.Conflict when a peer, which has blocks from base on, shows another block at a height than this node has. It looks for the first that differs: up to there the validators are those that
// are known here, and only what they signed counts.
func (o *others) sameAt(ctx context.Context, of peer.ID, height, base int64) error {
	if o.same(ctx, of, height) {
		return nil
	}
	low, high := max(base, o.parts.blocks.Base(), 1)-1, height // what is below low may differ, too, and can't be compared
	for high-low > 1 {
		if middle := low + (high-low)/2; o.same(ctx, of, middle) {
			low = middle
		} else {
			high = middle
		}
	}
	theirs, err := o.signed(ctx, of, high)
	if err != nil {
		o.engine.cfg.Logger.Debug("ledger: a peer shows another block than is here, without the signatures that would be needed", "peer", of, "height", high, "error", err)
		return nil
	}
	meta := o.parts.proofs.headers.LoadBlockMeta(high)
	if meta == nil || bytes.Equal(meta.BlockID.Hash, theirs.header.Hash()) {
		return nil
	}
	return historyError(high, meta.BlockID.Hash, theirs.header.Hash(), of)
}

// twoHistories says what to do where there is a second history of the network.
const twoHistories = `there are two histories of this ledger, as when a validator went on from an old backup or volume; nothing is signed here any more; compare what the others have, and decide which history is right; to follow theirs, stop this node, move its folder "ledger" away (keep "validator"), and start it again`

// historyError tells of a second history of the network.
func historyError(height int64, here, there []byte, at peer.ID) error {
	return fault.New(fault.Conflict, "block %d is %.16X here and %.16X at %s, both signed by the validators: %s", height, here, there, at, twoHistories)
}

// stopped is why CometBFT's consensus has stopped. One reason is that the others have decided on a block that does not follow the last one here.
func stopped(reason any) error {
	err, ok := reason.(error)
	if !ok {
		err = fmt.Errorf("%v", reason)
	}
	if text := err.Error(); strings.Contains(text, "committed an invalid block") && strings.Contains(text, "LastBlockID") {
		return fault.New(fault.Conflict, "consensus stopped: %w: %s", err, twoHistories)
	}
	return fmt.Errorf("consensus stopped: %w", err)
}
