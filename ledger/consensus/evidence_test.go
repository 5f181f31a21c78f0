package consensus

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/evidence"
	"github.com/cometbft/cometbft/p2p"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// culprit is a validator that does nothing but sign two votes for one height.
type culprit struct {
	key cmted25519.PrivKey
}

func newCulprit() culprit { return culprit{cmted25519.GenPrivKey()} }

func (c culprit) public() ledger.PublicKey { return ledger.PublicKey(c.key.PubKey().Bytes()) }

func (c culprit) vote(t *testing.T, chainID string, height int64, index int32, at time.Time, block byte) *types.Vote {
	t.Helper()
	hash := sha256.Sum256([]byte{block})
	v := &types.Vote{
		Type: cmtproto.PrecommitType, Height: height, Timestamp: at, ValidatorAddress: c.key.PubKey().Address(), ValidatorIndex: index,
		BlockID: types.BlockID{Hash: hash[:], PartSetHeader: types.PartSetHeader{Total: 1, Hash: hash[:]}},
	}
	signature, err := c.key.Sign(types.VoteSignBytes(chainID, v.ToProto()))
	if err != nil {
		t.Fatal(err)
	}
	v.Signature = signature
	return v
}

// misbehaved returns evidence that the culprit has signed two blocks of a height, at a node that has its header.
func (c culprit) misbehaved(at *chainNode, height int64) *types.DuplicateVoteEvidence {
	t := at.net.t
	t.Helper()
	var ev *types.DuplicateVoteEvidence
	err := at.engine.Read(func(blocks *store.BlockStore, states sm.Store) error {
		header, err := loadHeader(blocks, height)
		if err != nil {
			return err
		}
		validators, err := states.LoadValidators(height)
		if err != nil {
			return err
		}
		index, _ := validators.GetByAddress(c.key.PubKey().Address())
		a, b := c.vote(t, at.net.chainID(), height, index, header.Time, 'a'), c.vote(t, at.net.chainID(), height, index, header.Time, 'b')
		ev, err = types.NewDuplicateVoteEvidence(a, b, header.Time, validators)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// has reports whether a key has power at a node.
func (c *chainNode) has(key ledger.PublicKey) bool {
	c.net.t.Helper()
	view := c.store.View()
	defer view.Close()
	found := false
	err := view.Ascend(ledger.Validators(), func(k, _ []byte) bool {
		found = found || bytes.Equal(k[1:], key[:])
		return true
	})
	if err != nil {
		c.net.t.Fatal(err)
	}
	return found
}

func (c *chainNode) running() *parts {
	c.net.t.Helper()
	p, err := c.engine.running()
	if err != nil {
		c.net.t.Fatal(err)
	}
	return p
}

// TestOldEvidence: evidence of misbehaviour from before the state that a validator has fetched. The parts share a network to save the time of its start.
func TestOldEvidence(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 8)
	n.beat = 100 * time.Millisecond // so that others come up to it soon
	o := &oldNet{chainNet: n, whole: t, a: newCulprit(), b: newCulprit(), v: n.node(Sync{Mode: Blocks})}
	o.v.signer = n.signer
	o.v.start()
	n.propose(o.v, ledger.SetPower{Validator: n.signer.PublicKey(), Power: 100}, ledger.SetPower{Validator: o.a.public(), Power: 1}, ledger.SetPower{Validator: o.b.public(), Power: 1})
	eventually(t, "new validators", func() bool { return o.v.has(o.a.public()) && o.v.has(o.b.public()) })
	o.height = o.v.store.Tip().Height + 3
	o.v.reach(o.height + 18)
	for i := range o.shows {
		o.shows[i] = o.v.hide(o.height + 1 + int64(i))
	}
	o.v.halt() // and so forgets what it has in memory
	o.v.start()
	o.late = n.node(Sync{Mode: State})
	if _, err := signer.Generate(o.late.dir + "/validator"); err != nil {
		t.Fatal(err)
	}
	var err error
	if o.late.signer, err = signer.Bind(o.late.dir+"/validator", n.chainID()); err != nil {
		t.Fatal(err)
	}
	o.late.start()
	o.late.like(o.v)
	if base := o.late.engine.Status().Base; base < o.height+7 {
		t.Fatalf("it has blocks from %d on, and the test is about block %d", base, o.height)
	}
	for _, part := range []struct {
		name string
		f    func(*testing.T, *oldNet)
	}{
		{"bogus", bogus}, {"bounded", bounded}, {"attacks", attacks}, {"waits for what was decided", waitsForDecided}, {"votes", votesForOld}, {"goes on", goesOn}, {"from a peer", fromPeer},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			n.t = t
			defer func() { n.t = o.whole }()
			part.f(t, o)
		}) {
			return
		}
	}
}

// oldNet is a network with two validators of little power, and a node that has fetched the state after some heights at which both had it.
type oldNet struct {
	*chainNet
	whole   *testing.T
	v, late *chainNode
	a, b    culprit
	height  int64 // the first of them; there are more than six
	// shows make the headers of the next two heights known, which v keeps to itself until then.
	shows [2]func()
}

// votesForOld: the late one becomes a validator without whose vote nothing is decided, and votes for a block with evidence. The culprit loses its power everywhere.
func votesForOld(t *testing.T, o *oldNet) {
	o.propose(o.v, ledger.SetPower{Validator: o.late.signer.PublicKey(), Power: 48})
	eventually(t, "a validator more", func() bool {
		list, err := o.v.engine.Deciding()
		return err == nil && len(list) == 4
	})
	if err := o.v.running().proofs.AddEvidence(o.a.misbehaved(o.v, o.height)); err != nil {
		t.Fatal(err)
	}
	for _, node := range []*chainNode{o.v, o.late} {
		eventually(t, "the end of its power", func() bool { return !node.has(o.a.public()) })
	}
	o.late.like(o.v)
	if _, err := o.late.running().history.fetchedHeader(o.height); err != nil {
		t.Error(err)
	}
	if !o.late.gives(o.height) {
		t.Error("it does not give the header on")
	}
}

// goesOn: a block is decided by the others, with evidence of a height whose header nobody gives. The late one waits, while it takes part and while it fetches blocks; it can be stopped; and it goes on when somebody gives the header.
func goesOn(t *testing.T, o *oldNet) {
	at := o.height + 1
	if err := o.v.running().proofs.AddEvidence(o.b.misbehaved(o.v, at)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of its power", func() bool { return !o.v.has(o.b.public()) })
	waits := func() bool { return o.late.engine.Status().Waiting != "" }
	eventually(t, "that it waits", waits)
	if o.late.engine.Status().Syncing {
		t.Error("it does not take part, and the test is about that")
	}
	if err := o.late.engine.Health(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "evidence") {
		t.Errorf("health: %v", err)
	}
	o.late.halt() // with no error
	o.late.start()
	eventually(t, "that it waits again", waits)
	if !o.late.engine.Status().Syncing || !o.late.has(o.b.public()) {
		t.Error("it went on without the header")
	}
	o.shows[0]()
	eventually(t, "the end of its power at the late one", func() bool { return !o.late.has(o.b.public()) })
	o.late.like(o.v)
	if err := o.late.engine.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
}

// hide makes a node lose the commit of a block, so that it can't give the header to others, until what is returned is called.
func (c *chainNode) hide(height int64) (show func()) {
	t := c.net.t
	t.Helper()
	db := c.running().store.Space(spaceBlocks)
	kept := make(map[string][]byte)
	for _, key := range []string{fmt.Sprintf("C:%d", height), fmt.Sprintf("SC:%d", height)} {
		data, err := db.Get([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		if data != nil {
			kept[key] = data
			if err := db.Delete([]byte(key)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return func() {
		c.net.t.Helper()
		if c.gives(height) {
			c.net.t.Fatal("the header was given to others")
		}
		for key, data := range kept {
			if err := c.running().store.Space(spaceBlocks).Set([]byte(key), data); err != nil {
				c.net.t.Fatal(err)
			}
		}
		if !c.gives(height) {
			c.net.t.Fatal("the header is not given to others")
		}
	}
}

// gives reports whether a node gives others the header of a block.
func (c *chainNode) gives(height int64) bool {
	c.net.t.Helper()
	data, err := c.engine.answer(c.net.t.Context(), c.host.ID(), appendQuestion(questionHeader, height, 0))
	if err != nil {
		c.net.t.Fatal(err)
	}
	return data[0] == answerOK
}

// fromPeer: evidence that a peer sends is checked with a header that is fetched, and one that can't be checked is not held against the peer.
func fromPeer(t *testing.T, o *oldNet) {
	height := o.height + 2
	good := o.a.misbehaved(o.v, height)
	parts := o.late.running()
	from := parts.swtch.Peers().Copy()[0]
	send := func(ev types.Evidence) {
		t.Helper()
		m, err := types.EvidenceToProto(ev)
		if err != nil {
			t.Fatal(err)
		}
		parts.gossip.Receive(p2p.Envelope{Src: from, ChannelID: evidence.EvidenceChannel, Message: &cmtproto.EvidenceList{Evidence: []cmtproto.Evidence{*m}}})
	}
	send(good)
	if parts.proofs.Size() != 0 || !from.IsRunning() {
		t.Error("evidence that can't be checked is taken, or held against the peer")
	}
	o.shows[1]()
	send(good)
	if parts.proofs.Size() != 1 {
		t.Error("evidence is not taken")
	}
	bad := *good
	bad.TotalVotingPower++
	send(&bad)
	eventually(t, "the end of the session", func() bool { return !from.IsRunning() })
}
