package consensus

import (
	"fmt"
	"testing"
	"time"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/p2p"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"

	"github.com/folkmoot/folkmoot/ledger/consensus/consensustest"
)

// TestEnormousHeight: a peer that says to have far more blocks than there are does not keep a node from taking part when it has those of the others.
func TestEnormousHeight(t *testing.T) {
	t.Parallel()
	n := newNet(t, "enormous", 1, tcp4)
	validator, liar := n.nodes[0], n.addNode(false)
	n.start()
	for i := range 3 {
		n.commit(fmt.Sprint("tx", i), validator, validator, liar)
	}
	eventually(t, "the liar", func() bool { return !liar.engine.Status().Syncing })
	p, err := liar.engine.running()
	if err != nil {
		t.Fatal(err)
	}
	late := n.addNode(false)
	late.start()
	began := time.Now()
	eventually(t, "the late node to take part", func() bool {
		p.swtch.BroadcastAsync(p2p.Envelope{ChannelID: blocksync.BlocksyncChannel, Message: &bcproto.StatusResponse{Base: 1, Height: 1 << 60}})
		return !late.engine.Status().Syncing
	})
	t.Logf("it takes part after %s", time.Since(began).Round(time.Second))
	n.commit("after", late, validator, liar, late)
	n.agree()
}

// TestBlocksOfAnotherChain: a peer whose blocks are of another history of the network, signed by a validator of its own and more than there are of the right one, is not followed, and does not keep a node from following the others.
func TestBlocksOfAnotherChain(t *testing.T) {
	t.Parallel()
	n := newNet(t, "two-chains", 4, tcp4)
	forger := newNet(t, "two-chains", 1, tcp4)
	liar := forger.nodes[0]
	n.start()
	forger.start()
	for i := range 6 {
		forger.commit(fmt.Sprint("forged", i), liar, liar)
	}
	for i := range 3 {
		n.commit(fmt.Sprint("tx", i), n.nodes[i], n.nodes...)
	}
	late := n.addNode(false)
	for _, node := range n.nodes {
		forger.peers.Admit(consensustest.InfoOf(node.host))
	}
	n.peers.Admit(consensustest.InfoOf(liar.host))
	began := time.Now()
	late.start()
	eventually(t, "the late node to take part", func() bool { return !late.engine.Status().Syncing })
	t.Logf("it takes part after %s", time.Since(began).Round(time.Second))
	n.commit("after", late, n.nodes...)
	if late.app.has("forged0") || n.nodes[0].app.has("forged0") || liar.app.has("tx0") {
		t.Error("a node has what is of the other chain")
	}
	n.agree()
}
