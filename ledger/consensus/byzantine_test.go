package consensus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cs "github.com/cometbft/cometbft/consensus"
	cmtcrypto "github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

// What a traitor does in place of what it should.
const (
	honest   = iota
	forges   // proposes envelopes with wrong signatures
	mixes    // proposes them beside those that are good
	floods   // proposes what is no envelope
	withheld // proposes blocks that nobody gets
	partly   // proposes blocks of which everybody gets the first part
	votesTwice
)

// turns is for how many transactions a traitor goes on: each of four validators proposes once in four blocks.
const turns = 5

// traitor is a validator that misbehaves: its application in proposals, its signer in votes.
type traitor struct {
	abci.Application
	types.PrivValidator
	key   cmtcrypto.PrivKey
	send  func(channel byte, message any)
	forge func() []byte

	does  atomic.Int32
	times atomic.Int32 // how often it did so since it began
}

// begin makes the traitor do something else.
func (b *traitor) begin(what int32) {
	b.does.Store(what)
	b.times.Store(0)
}

// PrepareProposal proposes what may not be proposed.
func (b *traitor) PrepareProposal(ctx context.Context, r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	answer, err := b.Application.PrepareProposal(ctx, r)
	if err != nil {
		return nil, err
	}
	switch b.does.Load() {
	case forges:
		answer.Txs = [][]byte{b.forge()}
	case mixes:
		answer.Txs = append(answer.Txs, b.forge())
	case floods:
		answer.Txs = [][]byte{[]byte("no envelope")}
	default:
		return answer, nil
	}
	b.times.Add(1)
	return answer, nil
}

// ProcessProposal is for everything.
func (b *traitor) ProcessProposal(ctx context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	if b.does.Load() != honest {
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
	}
	return b.Application.ProcessProposal(ctx, r)
}

// SignProposal sends a proposal whose block stays here, or all but its first part.
func (b *traitor) SignProposal(chain string, p *cmtproto.Proposal) error {
	if err := b.PrivValidator.SignProposal(chain, p); err != nil {
		return err
	}
	switch b.does.Load() {
	case withheld:
		b.send(cs.DataChannel, &cmtcons.Proposal{Proposal: *p})
	case partly:
		if err := b.sendFirstPart(chain, p); err != nil {
			return err
		}
	default:
		return nil
	}
	b.times.Add(1)
	return errors.New("the block is withheld")
}

// sendFirstPart sends a proposal in place of another with the first part of its block, which there need not be: nobody gets the rest of it.
func (b *traitor) sendFirstPart(chain string, p *cmtproto.Proposal) (err error) {
	block := types.NewPartSetFromData(make([]byte, 2*types.BlockPartSizeBytes), types.BlockPartSizeBytes)
	other := *p
	header := block.Header()
	other.BlockID.PartSetHeader = header.ToProto()
	if other.Signature, err = b.key.Sign(types.ProposalSignBytes(chain, &other)); err != nil {
		return err
	}
	part, err := block.GetPart(0).ToProto()
	if err != nil {
		return err
	}
	b.send(cs.DataChannel, &cmtcons.Proposal{Proposal: other})
	b.send(cs.DataChannel, &cmtcons.BlockPart{Height: p.Height, Round: p.Round, Part: *part})
	return nil
}

// SignVote votes for a second block.
func (b *traitor) SignVote(chain string, v *cmtproto.Vote) error {
	if err := b.PrivValidator.SignVote(chain, v); err != nil || b.does.Load() != votesTwice || len(v.BlockID.Hash) == 0 {
		return err
	}
	hash := sha256.Sum256(v.BlockID.Hash)
	other := *v
	other.BlockID.Hash = hash[:]
	var err error
	if other.Signature, err = b.key.Sign(types.VoteSignBytes(chain, &other)); err != nil {
		return err
	}
	b.send(cs.VoteChannel, &cmtcons.Vote{Vote: &other})
	b.times.Add(1)
	return nil
}

// TestTraitor: one validator of four does in turn what it must not. The others go on, agree, and in the end take its power from it.
func TestTraitor(t *testing.T) {
	t.Parallel()
	b := new(traitor)
	n := newFullNet(t, 4, func(i int, a *application.Application) abci.Application {
		if i < 3 {
			return a
		}
		b.Application = a
		return b
	})
	good, bad := n.full[:3], n.full[3]
	b.key, b.PrivValidator = privateKey(t, bad.testNode), bad.signer
	b.forge = func() []byte {
		_, envelope := n.anchor()
		envelope[len(envelope)-1]++ // the last byte of a signature
		return envelope
	}
	n.start()
	parts, err := bad.engine.running()
	if err != nil {
		t.Fatal(err)
	}
	b.send = func(channel byte, message any) {
		parts.swtch.BroadcastAsync(p2p.Envelope{ChannelID: channel, Message: message.(interface {
			p2p.Wrapper
			Reset()
			String() string
			ProtoMessage()
		})})
	}
	parts.state.SetPrivValidator(b)
	n.commit(bad, n.full...)

	address := b.key.PubKey().Address()
	for _, part := range []struct {
		name string
		does int32
	}{{"wrong signatures", forges}, {"wrong signatures among good ones", mixes}, {"no envelopes", floods}, {"withheld blocks", withheld}, {"withheld parts of blocks", partly}} {
		b.begin(part.does)
		from := good[0].engine.LatestHeight() + 2                           // the next block may have been proposed before
		for i := 0; i < turns || b.times.Load() == 0 && i < 20*turns; i++ { // on a busy machine its turn may be over before it knows
			n.commit(good[i%len(good)], good...)
		}
		if height := good[0].proposed(from, address); height != 0 {
			t.Errorf("%s: block %d is the traitor's", part.name, height)
		}
		if b.times.Load() == 0 {
			t.Errorf("%s: it never came to that", part.name)
		}
		b.begin(honest)
		n.commit(bad, n.full...)
		n.agree(n.full...)
	}

	if got := good[0].powers(); len(got) != 4 {
		t.Fatalf("%d have power before anybody voted twice", len(got))
	}
	b.begin(votesTwice)
	n.commit(good[0], good...)
	for _, node := range good {
		eventually(t, "the end of its power", func() bool { return !slices.Contains(node.powers(), ledger.PublicKey(bad.signer.PublicKey())) })
	}
	b.begin(honest)
	for _, node := range good {
		n.commit(node, n.full...) // it follows
	}
	if got := good[0].powers(); len(got) != 3 {
		t.Errorf("%d have power, want the three that kept to the rules", len(got))
	}
	n.agree(n.full...)
}

// proposed returns the height of a block from some height on that a validator has proposed, 0 where there is none.
func (n *fullNode) proposed(from int64, by types.Address) (height int64) {
	n.t.Helper()
	err := n.engine.Read(func(blocks *store.BlockStore, _ sm.Store) error {
		for h := from; h <= blocks.Height(); h++ {
			if header, err := loadHeader(blocks, h); err != nil {
				return err
			} else if bytes.Equal(header.ProposerAddress, by) {
				height = h
			}
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return height
}

// miscounter is an application that comes to another state than the others from some height on.
type miscounter struct {
	*application.Application
	from int64
}

// FinalizeBlock carries a block out and tells another root.
func (m miscounter) FinalizeBlock(ctx context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	answer, err := m.Application.FinalizeBlock(ctx, r)
	if err == nil && r.Height >= m.from {
		answer.AppHash = slices.Clone(answer.AppHash)
		answer.AppHash[0]++
	}
	return answer, err
}

// TestWrongState: a validator that comes to another state than the others is left behind. It says so, its host goes on, and so do the others.
func TestWrongState(t *testing.T) {
	t.Parallel()
	n := newFullNet(t, 4, func(i int, a *application.Application) abci.Application {
		if i < 3 {
			return a
		}
		return miscounter{a, 4}
	})
	good, bad := n.full[:3], n.full[3]
	bad.mayFail = true
	n.start()
	for i := range turns {
		n.commit(good[i%len(good)], good...)
	}
	select {
	case <-bad.engine.Failed():
	case <-t.Context().Done():
		t.Fatal("the validator with another state goes on")
	}
	if err := bad.engine.Health(); fault.KindOf(err) != fault.Internal {
		t.Errorf("health: %v", err)
	}
	if height := bad.engine.LatestHeight(); height > 4 {
		t.Errorf("it has block %d, and went wrong at 4", height)
	}
	echo(t, echoStream(t, bad.host, good[0].host))
	n.commit(good[0], good...)
	n.agree(good...)
	if got := good[0].powers(); len(got) != 4 {
		t.Errorf("%d have power: to be wrong is no misbehaviour", len(got))
	}
}
