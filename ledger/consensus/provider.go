package consensus

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto/merkle"
	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// provider tells CometBFT's state sync what the chain's state is at a height. It believes nothing but the genesis: from there it follows the validators, of whom each set names the next, to headers that they signed.
type provider struct {
	genesis *types.GenesisDoc
	asker   *asker
	life    context.Context // CometBFT asks with contexts that do not end with the engine

	mu      sync.Mutex
	chain   *light.Chain
	first   *types.ValidatorSet // of the genesis
	steps   []keptStep          // guarded by mu; what chain has gone over
	headers map[int64]signedAt  // guarded by mu; the headers that were asked for last
	turn    *types.ValidatorSet // guarded by mu; the validators of turnAt, with who proposes when; nil: not known yet
	turnAt  int64               // guarded by mu
}

// signedAt is a header with its commit, which were checked.
type signedAt struct {
	header *types.Header
	commit *types.Commit
}

// maxHeaders bounds the headers that are remembered: three for each of some snapshots.
const maxHeaders = 64

var _ statesync.StateProvider = (*provider)(nil)

func newProvider(life context.Context, genesis *types.GenesisDoc, a *asker) *provider {
	first := genesisSet(genesis)
	return &provider{
		genesis: genesis, asker: a, life: life, chain: light.NewChain(genesis.ChainID, 1, first.Copy()), first: first, headers: make(map[int64]signedAt),
	}
}

// at returns a header that was checked, from whoever has it. The caller holds mu.
func (p *provider) at(ctx context.Context, height int64) (signedAt, error) {
	if known, ok := p.headers[height]; ok {
		return known, nil
	}
	var found signedAt
	err := p.asker.each(ctx, func(ctx context.Context, of peer.ID) (err error) {
		found, err = p.from(ctx, of, height)
		return err
	})
	if err != nil {
		return signedAt{}, fmt.Errorf("get the header of block %d: %w", height, err)
	}
	if len(p.headers) >= maxHeaders {
		clear(p.headers)
	}
	p.headers[height] = found
	return found, nil
}

// from asks one peer for a header, with the changes of validators that lead there. What it tells of those is kept as far as it is good: who leaves some out has no header to show that those who remain have signed.
func (p *provider) from(ctx context.Context, of peer.ID, height int64) (signedAt, error) {
	if height >= p.chain.Height() {
		err := p.asker.steps(ctx, of, p.chain.Height()-1, height-1, func(s *light.Step) error {
			if len(p.steps) == light.MaxSteps {
				return fault.New(fault.TooLarge, "more than %d changes of validators", light.MaxSteps)
			}
			h, err := p.chain.Step(s)
			if err == nil {
				p.steps = append(p.steps, keptStep{h.Height, *s})
			}
			return err
		})
		if err != nil {
			return signedAt{}, err
		}
	}
	signed, err := p.asker.header(ctx, of, height)
	if err != nil {
		return signedAt{}, err
	}
	validators, err := p.validators(height)
	if err != nil {
		return signedAt{}, err
	}
	h, commit, err := light.NewChain(p.genesis.ChainID, height, validators).Header(&signed)
	if err == nil && h.Height != height {
		err = fault.New(fault.Invalid, "%s gave the header of block %d for that of block %d", of, h.Height, height)
	}
	return signedAt{h, commit}, err
}

// validators returns those of a height as far as is known, in any state of who proposes.
func (p *provider) validators(height int64) (*types.ValidatorSet, error) {
	i, _ := slices.BinarySearchFunc(p.steps, height, atHeight)
	if i == 0 {
		return p.first, nil
	}
	return light.ValidatorSet(p.steps[i-1].step.Next)
}

// bound ends a context with the engine.
func (p *provider) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// header returns a header that leads from the genesis.
func (p *provider) header(ctx context.Context, height int64) (*types.Header, *types.Commit, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.at(ctx, height)
	return s.header, s.commit, err
}

// shown returns nil when a peer shows a header of a height, to which the chain leads from the genesis.
func (p *provider) shown(ctx context.Context, by peer.ID, height int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.from(ctx, by, height)
	return err
}

// followed reports whether there were changes of validators since the genesis.
func (p *provider) followed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.steps) > 0
}

// AppHash returns the root of the state after a block. It is an error, too, when the two blocks after it are not there yet, of which State needs the headers.
func (p *provider) AppHash(ctx context.Context, height uint64) ([]byte, error) {
	tip, err := p.tip(ctx, height)
	return tip.Root[:], err
}

// tip returns what is known of the state after a block.
func (p *provider) tip(ctx context.Context, height uint64) (state.Tip, error) {
	s, err := p.three(ctx, height)
	if err != nil {
		return state.Tip{}, err
	}
	root := s[1].header.AppHash
	out := state.Tip{Height: int64(height), Time: s[0].header.Time.UnixMilli()}
	if copy(out.Root[:], root); len(root) != len(ledger.Hash{}) {
		return state.Tip{}, fault.New(fault.Invalid, "the root of the state in block %d has %d bytes", height+1, len(root))
	}
	return out, nil
}

// three returns the headers of a block and of the two after it.
func (p *provider) three(ctx context.Context, height uint64) (out [3]signedAt, err error) {
	if height == 0 || height > 1<<62 {
		return out, fault.New(fault.Invalid, "there is no block %d", height)
	}
	ctx, cancel := p.bound(ctx)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range out {
		// The last first: where that one is not there, nothing else is to be asked for.
		n := len(out) - 1 - i
		if out[n], err = p.at(ctx, int64(height)+int64(n)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Commit returns the commit of a block.
func (p *provider) Commit(ctx context.Context, height uint64) (*types.Commit, error) {
	s, err := p.three(ctx, height)
	return s[0].commit, err
}

// State returns what a node's state would be after a block if it had carried out all blocks up to there.
func (p *provider) State(ctx context.Context, height uint64) (sm.State, error) {
	s, err := p.three(ctx, height)
	if err != nil {
		return sm.State{}, err
	}
	last, current, next := s[0], s[1], s[2]
	params := *p.genesis.ConsensusParams // the application never changes them
	if !bytes.Equal(params.Hash(), current.header.ConsensusHash) {
		return sm.State{}, fault.New(fault.Invalid, "block %d has other parameters than the genesis", current.header.Height)
	}
	out := sm.State{
		ChainID: p.genesis.ChainID, InitialHeight: p.genesis.InitialHeight,
		Version:         cmtstate.Version{Consensus: current.header.Version, Software: version.TMCoreSemVer},
		LastBlockHeight: last.header.Height, LastBlockTime: last.header.Time, LastBlockID: last.commit.BlockID,
		AppHash: current.header.AppHash, LastResultsHash: current.header.LastResultsHash,
		ConsensusParams: params, LastHeightConsensusParamsChanged: current.header.Height, LastHeightValidatorsChanged: next.header.Height,
	}
	if len(out.LastResultsHash) == 0 {
		out.LastResultsHash = merkle.HashFromByteSlices(nil)
	}
	turns, err := p.turns(ctx, int64(height))
	if err != nil {
		return sm.State{}, err
	}
	for i, of := range s {
		if err := proposed(of, turns[i]); err != nil {
			return sm.State{}, err
		}
	}
	out.LastValidators, out.Validators, out.NextValidators = turns[0], turns[1], turns[2]
	return out, nil
}

// proposed checks that who proposed a block in the first round had the turn. Who proposes is not part of the hash of validators, but follows from the changes since the genesis: it is wrong when somebody left out
// changes that cancel one another.
func proposed(s signedAt, validators *types.ValidatorSet) error {
	if s.commit.Round == 0 && !bytes.Equal(validators.GetProposer().Address, s.header.ProposerAddress) {
		return fault.New(fault.Invalid, "block %d was not proposed by who had the turn", s.header.Height)
	}
	return nil
}

// turns returns the validators of a height and of the two after it, with who proposes when. That takes the longer the more blocks there are since it was last asked for.
func (p *provider) turns(ctx context.Context, height int64) (out [3]*types.ValidatorSet, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turn == nil || p.turnAt > height {
		p.turn, p.turnAt = p.first.Copy(), 1
	}
	if err := p.advance(ctx, height); err != nil {
		return out, err
	}
	set, at := p.turn, p.turnAt
	for i := range out {
		out[i] = set
		next := set.Copy() // what it shares with set, which is who proposes, it does not change
		if err := p.move(next, at); err != nil {
			return out, err
		}
		set, at = next, at+1
	}
	p.turn = out[0].Copy()
	return out, nil
}

// advance moves the turn on to a height. The caller holds mu.
func (p *provider) advance(ctx context.Context, height int64) error {
	for ; p.turnAt < height; p.turnAt++ {
		if p.turnAt%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.move(p.turn, p.turnAt); err != nil {
			p.turn = nil
			return err
		}
	}
	return nil
}

// move makes the validators of a height those of the next. CometBFT does it for each block, which is not the same as for many blocks at once: in between it may even out whose turn it is. The caller holds mu.
func (p *provider) move(set *types.ValidatorSet, height int64) error {
	if i, ok := slices.BinarySearchFunc(p.steps, height, atHeight); ok {
		if err := change(set, p.steps[i].step.Next); err != nil {
			return fmt.Errorf("change the validators at block %d: %w", height, err)
		}
	}
	set.IncrementProposerPriority(1)
	return nil
}

func atHeight(s keptStep, height int64) int { return cmp.Compare(s.height, height) }

// change makes a set that of others as a block does it.
func change(set *types.ValidatorSet, to []light.Validator) error {
	next, err := light.ValidatorSet(to)
	if err != nil {
		return err
	}
	var changes []*types.Validator
	for _, v := range next.Validators {
		if _, old := set.GetByAddress(v.Address); old == nil || old.VotingPower != v.VotingPower {
			changes = append(changes, types.NewValidator(v.PubKey, v.VotingPower))
		}
	}
	for _, old := range set.Validators {
		if !next.HasAddress(old.Address) {
			changes = append(changes, types.NewValidator(old.PubKey, 0))
		}
	}
	return set.UpdateWithChangeSet(changes)
}

// through returns the changes of validators up to a height.
func (p *provider) through(height int64) []keptStep {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearchFunc(p.steps, height+1, atHeight)
	return slices.Clone(p.steps[:i])
}

// trustTime is how long it may take to get from the genesis to a header: each change of validators is one set of signatures.
const trustTime = 10 * time.Minute

// checkTrust compares the chain with the block that the user trusts. It is fault.Conflict when it is another.
func (p *provider) checkTrust(ctx context.Context, t *Trust) error {
	h, _, err := p.header(ctx, t.Height)
	if err != nil {
		return err
	}
	if !bytes.Equal(h.Hash(), t.Hash[:]) {
		return otherBlock(t, h.Hash())
	}
	return nil
}

func otherBlock(t *Trust, hash []byte) error {
	return fault.New(fault.Conflict, "block %d of this chain is %x, not the trusted %s: it is another history", t.Height, hash, t.Hash)
}
