package consensus

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// held is a validator that is held up when it has signed a vote, which is in no log yet.
type held struct {
	types.PrivValidator
	wanted  atomic.Bool // the next prevote
	reached chan int64  // its height
	resume  chan struct{}
}

func (h *held) SignVote(chain string, v *cmtproto.Vote) error {
	err := h.PrivValidator.SignVote(chain, v)
	if v.Type == cmtproto.PrevoteType && h.wanted.CompareAndSwap(true, false) {
		h.reached <- v.Height
		<-h.resume
	}
	return err
}

// TestVotedAndTheClockSetBack: a chain of one is killed after it has signed a vote and before that is in its log, and its clock, which was ahead, is right when it starts again. It judges the proposal otherwise than before, and yet
// its vote counts that it gave: its signer gives no other, and the chain would wait for a vote for ever.
func TestVotedAndTheClockSetBack(t *testing.T) {
	t.Parallel()
	n := newNet(t, "clock-set-back", 1, tcp4)
	node := n.nodes[0]
	fs := vfs.NewCrashableMem()
	node.fs = fs
	node.start()
	n.commit("one", node, node)
	p, err := node.engine.running()
	if err != nil {
		t.Fatal(err)
	}
	h := &held{PrivValidator: node.signer, reached: make(chan int64), resume: make(chan struct{})}
	p.state.SetPrivValidator(h)
	h.wanted.Store(true)
	height := <-h.reached
	after := &testNode{t: t, net: n, dir: t.TempDir(), host: consensustest.NewHost(t, n.id, tcp4), fs: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})}
	copyTree(t, filepath.Join(node.dir, "wal"), filepath.Join(after.dir, "wal"))
	copyTree(t, filepath.Join(node.dir, "signer"), filepath.Join(after.dir, "signer"))
	moveTree(t, after.fs, filepath.Join(node.dir, "chain"), filepath.Join(after.dir, "chain"))
	close(h.resume)
	node.halt()

	if after.signer, err = signer.Open(filepath.Join(after.dir, "signer"), n.genesis.ChainID); err != nil {
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
