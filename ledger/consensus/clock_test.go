package consensus

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// photographed is an application that has a copy made of its node's folder when a proposal is checked: the proposal is in the log by then, and no vote for it is signed.
type photographed struct {
	*app
	take func(height int64)
}

func (p photographed) ProcessProposal(ctx context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	p.take(r.Height)
	return p.app.ProcessProposal(ctx, r)
}

// TestVotedAndTheClockSetBack: a chain of one is stopped after it has signed a vote and before that is in its log, and its clock, which was ahead, is right when it starts again. It votes for the same block again, whose time is
// ahead of the clock: any other vote its signer would refuse, and the chain would wait for a vote for ever.
func TestVotedAndTheClockSetBack(t *testing.T) {
	t.Parallel()
	n := newNet(t, "clock-set-back", 1, tcp4)
	node := n.nodes[0]
	picture := filepath.Join(t.TempDir(), "copy")
	var wanted, at atomic.Int64
	node.application = func() abci.Application {
		return photographed{node.app, func(height int64) {
			if wanted.Load() > 0 && height >= wanted.Load() && at.CompareAndSwap(0, height) {
				if err := os.CopyFS(picture, os.DirFS(node.dir)); err != nil {
					t.Error(err)
				}
			}
		}}
	}
	node.start()
	n.commit("one", node, node)
	wanted.Store(node.engine.LatestHeight() + 2)
	n.commit("two", node, node)
	eventually(t, "a copy", func() bool { return at.Load() > 0 })
	height := at.Load()
	eventually(t, "the block", func() bool { return node.engine.LatestHeight() >= height })
	var block types.BlockID
	err := node.engine.Read(func(blocks *store.BlockStore, _ sm.Store) error {
		block = blocks.LoadBlockMeta(height).BlockID
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	node.halt()

	for _, name := range []string{signer.KeyFile, signer.StateFile} { // CopyFS gives them to everybody
		if err := os.Chmod(filepath.Join(picture, "signer", name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	back := n.cloned(picture, false)
	back.behind.Store(int64(2 * time.Hour))
	vote := &cmtproto.Vote{Type: cmtproto.PrevoteType, Height: height, BlockID: block.ToProto(), Timestamp: time.Now()}
	if err := back.signer.SignVote(n.genesis.ChainID, vote); err != nil {
		t.Fatal(err)
	}
	back.start()
	eventually(t, "the block that was voted for", func() bool { return back.engine.LatestHeight() >= height })
	back.behind.Store(0)
	n.commit("three", back, back)
}
