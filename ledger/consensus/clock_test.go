package consensus

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// judged is an application that is held up when it judges a proposal: that is in the log by then, and no vote for it is signed.
type judged struct {
	*app
	hold func(height int64)
}

func (j judged) ProcessProposal(ctx context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	j.hold(r.Height)
	return j.app.ProcessProposal(ctx, r)
}

// TestVotedAndTheClockSetBack: a chain of one is stopped after it has signed a vote and before that is in its log, and its clock, which was ahead, is right when it starts again. It judges the proposal otherwise than before, and yet
// its vote counts that it gave: its signer gives no other, and the chain would wait for a vote for ever.
func TestVotedAndTheClockSetBack(t *testing.T) {
	t.Parallel()
	n := newNet(t, "clock-set-back", 1, tcp4)
	node := n.nodes[0]
	fs := vfs.NewCrashableMem()
	node.fs = fs
	var holds atomic.Bool
	reached, resume := make(chan int64), make(chan struct{})
	node.application = func() abci.Application {
		return judged{node.app, func(height int64) {
			if holds.CompareAndSwap(true, false) {
				reached <- height
				<-resume
			}
		}}
	}
	node.start()
	n.commit("one", node, node)
	holds.Store(true)
	height := <-reached
	after := &testNode{t: t, net: n, dir: t.TempDir(), host: consensustest.NewHost(t, n.id, tcp4), fs: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})}
	copyTree(t, filepath.Join(node.dir, "wal"), filepath.Join(after.dir, "wal"))
	copyTree(t, filepath.Join(node.dir, "signer"), filepath.Join(after.dir, "signer"))
	moveTree(t, after.fs, filepath.Join(node.dir, "chain"), filepath.Join(after.dir, "chain"))
	close(resume)
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

	if after.signer, err = signer.Open(filepath.Join(after.dir, "signer"), n.genesis.ChainID); err != nil {
		t.Fatal(err)
	}
	vote := &cmtproto.Vote{Type: cmtproto.PrevoteType, Height: height, BlockID: block.ToProto(), Timestamp: time.Now()}
	if err := after.signer.SignVote(n.genesis.ChainID, vote); err != nil {
		t.Fatal(err)
	}
	n.nodes = append(n.nodes, after)
	t.Cleanup(after.halt)
	after.behind.Store(int64(2 * time.Hour))
	after.start()
	eventually(t, "the block that was voted for", func() bool { return after.engine.LatestHeight() >= height })
	after.behind.Store(0)
	n.commit("two", after, after)
}
