package consensus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/evidence"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
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

// oldNet is a network with two validators of little power, and a node that has fetched the state after some height at which both had it.
func oldNet(t *testing.T) (n *chainNet, v, late *chainNode, a, b culprit, height int64) {
	t.Helper()
	n, a, b = newChainNet(t, 8), newCulprit(), newCulprit()
	n.beat = 100 * time.Millisecond // so that others come up to it soon
	v = n.node(Sync{Mode: Blocks})
	v.signer = n.signer
	v.start()
	n.propose(v, ledger.SetPower{Validator: a.public(), Power: 1}, ledger.SetPower{Validator: b.public(), Power: 1})
	eventually(t, "new validators", func() bool { return v.has(a.public()) && v.has(b.public()) })
	height = v.store.Tip().Height + 3
	v.reach(height + 18)
	late = n.node(Sync{Mode: State})
	if _, err := signer.Generate(late.dir + "/validator"); err != nil {
		t.Fatal(err)
	}
	var err error
	if late.signer, err = signer.Bind(late.dir+"/validator", n.chainID()); err != nil {
		t.Fatal(err)
	}
	late.start()
	late.like(v)
	if base := late.engine.Status().Base; base < height+5 {
		t.Fatalf("it has blocks from %d on, and the test is about block %d", base, height)
	}
	return n, v, late, a, b, height
}

// TestOldEvidence: a validator that has fetched the state votes for a block with evidence from before, and the culprit loses its power everywhere. One that was away while such a block was decided, and can have the header from nobody, waits
// for it, can be stopped meanwhile, and goes on when somebody has it. Evidence that may have been in a block before the state is neither taken from peers nor voted for.
func TestOldEvidence(t *testing.T) {
	t.Parallel() // it waits more than it works
	n, v, late, a, b, height := oldNet(t)

	t.Log("without the vote of the late one nothing is decided")
	n.propose(v, ledger.SetPower{Validator: late.signer.PublicKey(), Power: 3})
	eventually(t, "a validator more", func() bool {
		list, err := v.engine.Deciding()
		return err == nil && len(list) == 4
	})
	first := a.misbehaved(v, height)
	if err := v.running().proofs.AddEvidence(first); err != nil {
		t.Fatal(err)
	}
	for _, node := range []*chainNode{v, late} {
		eventually(t, "the end of its power", func() bool { return !node.has(a.public()) })
	}
	late.like(v)
	if _, err := late.running().history.fetchedHeader(height); err != nil {
		t.Error(err)
	}
	asked, err := late.engine.answer(t.Context(), v.host.ID(), appendQuestion(questionHeader, height, 0))
	if err != nil || asked[0] != answerOK {
		t.Errorf("it does not give the header on: %v, %v", asked, err)
	}

	t.Log("a block with evidence is decided while the late one is away, and nobody has the header")
	late.halt()
	at := height + 1
	if err := v.running().proofs.AddEvidence(b.misbehaved(v, at)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of its power", func() bool { return !v.has(b.public()) })
	meta := v.hide(at)
	late.start()
	waits := func() bool { return late.engine.Status().Waiting != "" }
	eventually(t, "that it waits", waits)
	if err := late.engine.Health(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "evidence") {
		t.Errorf("health: %v", err)
	}
	late.halt() // with no error
	late.start()
	eventually(t, "that it waits again", waits)
	v.show(at, meta)
	eventually(t, "the end of its power at the late one", func() bool { return !late.has(b.public()) })
	late.like(v)
	if err := late.engine.Health(); err != nil {
		t.Errorf("health: %v", err)
	}

	t.Log("one that came after the punishment")
	v.reach(v.store.Tip().Height + 18)
	third := n.node(Sync{Mode: State})
	third.start()
	third.like(v)
	if third.running().proofs.headers.isNew(first) {
		t.Error("what may have been in a block before passes for new")
	}
	again := types.EvidenceList{first}
	if err := third.running().proofs.CheckEvidence(again); err == nil {
		t.Error("evidence that may have been in a block before is voted for")
	}
	if err := third.running().proofs.forGossip(first); fault.KindOf(err) != fault.NotFound {
		t.Errorf("evidence that may have been in a block before is taken from peers: %v", err)
	}
}

func metaKey(height int64) []byte { return fmt.Appendf(nil, "H:%d", height) }

// hide makes a node lose a header, which it returns.
func (c *chainNode) hide(height int64) []byte {
	t := c.net.t
	t.Helper()
	db := c.running().store.Space(spaceBlocks)
	meta, err := db.Get(metaKey(height))
	if err != nil || meta == nil {
		t.Fatalf("no header: %v", err)
	}
	if err := db.Delete(metaKey(height)); err != nil {
		t.Fatal(err)
	}
	return meta
}

func (c *chainNode) show(height int64, meta []byte) {
	c.net.t.Helper()
	if err := c.running().store.Space(spaceBlocks).Set(metaKey(height), meta); err != nil {
		c.net.t.Fatal(err)
	}
}

// probe is an evidence pool over the databases of a node that runs, which asks whom the test says, and counts.
type probe struct {
	*evidencePool
	members []peer.ID
	asked   int
	cuts    int
	must    bool
}

func newProbe(t *testing.T, of *chainNode, life context.Context) *probe {
	t.Helper()
	p := of.running()
	own := dbm.NewMemDB() // with the changes of validators, and no headers yet
	it, err := p.history.own.Iterator(stepKey(0), stepKey(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	for ; it.Valid(); it.Next() {
		if err := own.Set(bytes.Clone(it.Key()), bytes.Clone(it.Value())); err != nil {
			t.Fatal(err)
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	headers := &oldHeaders{history: &history{blocks: p.blocks, states: p.states, own: own}, genesis: p.genesis, fetched: &of.engine.fetched}
	pool, err := evidence.NewPool(dbm.NewMemDB(), oldValidators{p.states, headers}, headers)
	if err != nil {
		t.Fatal(err)
	}
	out := new(probe)
	out.evidencePool = &evidencePool{
		Pool: pool, headers: headers, life: life, turn: new(turn), decided: func() bool { return out.must }, cut: func() { out.cuts++ }, log: logger1(),
		gossip: rate.NewLimiter(0, gossipBurst), one: make(chan struct{}, 1),
		asker: &asker{client: p.proofs.asker.client, members: func() []peer.ID { out.asked++; return slices.Clone(out.members) }},
	}
	return out
}

// TestBogusEvidence: evidence that nobody signed, or that is too old, costs no question, and what a validator did sign costs as many as are allowed. A wait in vain for a vote is followed by none for a while.
func TestBogusEvidence(t *testing.T) {
	t.Parallel() // it waits more than it works
	_, v, late, a, _, height := oldNet(t)
	p := newProbe(t, late, t.Context())
	p.members = []peer.ID{v.host.ID()}
	good := a.misbehaved(v, height)
	refuse := func(what string, ev types.Evidence) {
		t.Helper()
		if err := p.forGossip(ev); err != nil {
			t.Errorf("%s: it is passed over, and so not refused: %v", what, err)
		}
		if err := p.AddEvidence(ev); err == nil {
			t.Errorf("%s: it is believed", what)
		}
		if err := p.CheckEvidence(types.EvidenceList{ev}); err == nil {
			t.Errorf("%s: it is voted for", what)
		}
	}
	for h := int64(1); h < height+5; h++ { // by somebody who never was a validator, and by one who has signed one block
		stranger := *good
		other := newCulprit()
		stranger.VoteA, stranger.VoteB = other.vote(t, v.net.chainID(), h, 0, good.Timestamp, 'a'), other.vote(t, v.net.chainID(), h, 0, good.Timestamp, 'b')
		refuse("a stranger", &stranger)
		moved, vote := *good, *good.VoteB
		vote.Signature = bytes.Clone(vote.Signature)
		vote.Signature[h%64] ^= 1
		moved.VoteB = &vote
		refuse("a bit of a signature", &moved)
	}
	power := *good
	power.TotalVotingPower++
	refuse("another power", &power)
	if p.asked != 0 {
		t.Errorf("it costs %d questions", p.asked)
	}
	wrong := *good
	wrong.Timestamp = wrong.Timestamp.Add(time.Second)
	for range 3 {
		refuse("another time", &wrong)
	}
	if p.asked != 1 {
		t.Errorf("for a wrong time somebody is asked %d times, want once", p.asked)
	}
	if err := p.CheckEvidence(types.EvidenceList{good}); err != nil || p.asked != 1 {
		t.Errorf("the good one, after %d questions: %v", p.asked, err)
	}
	refused := 0
	for i := range int64(2 * gossipBurst) {
		h := height + 1 + i%6
		ev := a.misbehaved(v, h)
		p.members = nil // nobody answers
		if err := p.forGossip(ev); err == nil {
			t.Error("evidence is checked without a header")
		} else if fault.KindOf(err) == fault.Full {
			refused++
		}
	}
	if p.asked > 1+gossipBurst || refused == 0 {
		t.Errorf("peers' evidence leads to %d questions, %d pieces were over the limit", p.asked-1, refused)
	}
	p.asked = 0
	for range 3 {
		if err := p.CheckEvidence(types.EvidenceList{a.misbehaved(v, height+2)}); err == nil {
			t.Error("evidence is voted for without a header")
		}
	}
	if p.asked != 1 {
		t.Errorf("for votes others were asked %d times within %s", p.asked, quietTime)
	}
	attacks(t, v, late)
	waitsForDecided(t, v, late, a, height+3)
	overTheWire(t, v, late, a, height+4)
}

// waitsForDecided: where the node can't go on without a header, it is waited for until somebody has it, or the engine ends.
func waitsForDecided(t *testing.T, v, late *chainNode, a culprit, height int64) {
	list := types.EvidenceList{a.misbehaved(v, height)}
	life, end := context.WithCancel(t.Context())
	p := newProbe(t, late, life)
	p.turn.see(&cmtcons.NewRoundStep{Height: 5, Step: uint32(cstypes.RoundStepPrevote)})
	done := make(chan error, 1)
	go func() { done <- p.CheckEvidence(list) }()
	eventually(t, "that it waits", func() bool { return p.waitsFor() != "" })
	end()
	if err := <-done; err == nil || p.cuts != 1 {
		t.Errorf("after the end: %v, %d", err, p.cuts)
	}
	p = newProbe(t, late, t.Context())
	p.members, p.must = []peer.ID{v.host.ID()}, true
	if err := p.CheckEvidence(list); err != nil || p.waitsFor() != "" {
		t.Errorf("%v, waits for %q", err, p.waitsFor())
	}
}

// overTheWire: evidence that a peer sends is checked with a header that is fetched, and one that can't be checked is not held against the peer.
func overTheWire(t *testing.T, v, late *chainNode, a culprit, height int64) {
	good := a.misbehaved(v, height)
	parts := late.running()
	from := parts.swtch.Peers().Copy()[0]
	send := func(ev types.Evidence) {
		t.Helper()
		m, err := types.EvidenceToProto(ev)
		if err != nil {
			t.Fatal(err)
		}
		parts.gossip.Receive(p2p.Envelope{Src: from, ChannelID: evidence.EvidenceChannel, Message: &cmtproto.EvidenceList{Evidence: []cmtproto.Evidence{*m}}})
	}
	meta := v.hide(height)
	send(good)
	if parts.proofs.Size() != 0 || !from.IsRunning() {
		t.Error("evidence that can't be checked is taken, or held against the peer")
	}
	v.show(height, meta)
	send(good)
	if parts.proofs.Size() != 1 {
		t.Error("evidence is not taken")
	}
	bad := *good
	bad.TotalVotingPower++
	send(&bad)
	eventually(t, "the end of the session", func() bool { return !from.IsRunning() })
}

// attacks: two histories signed by more than two thirds are evidence, too, whether the validators made up what a block leads to or decided twice. Those whom it accuses follow from the very commit that all nodes have.
func attacks(t *testing.T, v, late *chainNode) {
	height := late.engine.Status().Base - 4
	key := cmted25519.PrivKey(keyIn(t, v.net.keys).Bytes())
	for _, c := range []struct {
		name   string
		common int64
		change func(h *types.Header)
	}{
		{"decided twice", height, func(h *types.Header) { h.DataHash = bytes.Repeat([]byte{1}, sha256.Size) }},
		{"made up", height - 1, func(h *types.Header) { h.AppHash = bytes.Repeat([]byte{1}, sha256.Size) }},
	} {
		p := newProbe(t, late, t.Context())
		if err := p.CheckEvidence(types.EvidenceList{attack(t, v, key, c.common, height, c.change)}); err == nil {
			t.Errorf("%s: it is voted for without a header", c.name)
		}
		p.quiet = time.Time{}
		p.members = []peer.ID{v.host.ID()}
		other := resigned(t, v, key, height)
		if err := p.headers.keepHeader(height, &other); err != nil {
			t.Fatal(err)
		}
		if h := p.headers.kept(height); h == nil || p.headers.exact(height) {
			t.Fatalf("%s: the other commit is not good, or the same: %v", c.name, h)
		}
		p.asked = 0
		if err := p.CheckEvidence(types.EvidenceList{attack(t, v, key, c.common, height, c.change)}); err != nil || !p.headers.exact(height) {
			t.Errorf("%s: %v", c.name, err)
		}
		if p.asked == 0 || p.asked > 3 {
			t.Errorf("%s: %d questions", c.name, p.asked)
		}
		bogus := attack(t, v, newCulprit().key, c.common, height+1, c.change)
		if w := p.wanted(types.EvidenceList{bogus}); len(w.headers) != 0 {
			t.Errorf("%s: signed by somebody else it leads to questions", c.name)
		}
	}
}

// attack returns evidence of a second block of a height, signed with a key that has the place of the first validator.
func attack(t *testing.T, v *chainNode, key cmted25519.PrivKey, common, height int64, change func(*types.Header)) (ev *types.LightClientAttackEvidence) {
	t.Helper()
	err := v.engine.Read(func(blocks *store.BlockStore, states sm.Store) error {
		validators, err := states.LoadValidators(common)
		if err != nil {
			return err
		}
		trusted := &types.SignedHeader{Header: &blocks.LoadBlockMeta(height).Header, Commit: blocks.LoadBlockCommit(height)}
		h := *trusted.Header
		change(&h)
		ev = &types.LightClientAttackEvidence{
			ConflictingBlock: &types.LightBlock{SignedHeader: &types.SignedHeader{Header: &h, Commit: commitOf(t, key, &h, trusted.Commit, time.Second)}, ValidatorSet: validators},
			CommonHeight:     common, TotalVotingPower: validators.TotalVotingPower(), Timestamp: blocks.LoadBlockMeta(common).Header.Time,
		}
		ev.ByzantineValidators = ev.GetByzantineValidators(validators, trusted)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// resigned returns a header of the chain with a commit as good as its own, signed at another time.
func resigned(t *testing.T, v *chainNode, key cmted25519.PrivKey, height int64) (signed light.Signed) {
	t.Helper()
	err := v.engine.Read(func(blocks *store.BlockStore, _ sm.Store) (err error) {
		meta := blocks.LoadBlockMeta(height)
		commit := commitOf(t, key, &meta.Header, blocks.LoadBlockCommit(height), time.Minute)
		signed, err = light.Encode(&meta.Header, commit)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// commitOf returns a commit for a header like another one, in which the one who signed it signs anew, and later.
func commitOf(t *testing.T, key cmted25519.PrivKey, h *types.Header, like *types.Commit, later time.Duration) *types.Commit {
	t.Helper()
	c := &types.Commit{Height: like.Height, Round: like.Round, BlockID: types.BlockID{Hash: h.Hash(), PartSetHeader: like.BlockID.PartSetHeader}, Signatures: slices.Clone(like.Signatures)}
	for i := range c.Signatures {
		if c.Signatures[i].BlockIDFlag != types.BlockIDFlagCommit {
			continue
		}
		c.Signatures[i].Timestamp = c.Signatures[i].Timestamp.Add(later)
		signature, err := key.Sign(c.VoteSignBytes(h.ChainID, int32(i)))
		if err != nil {
			t.Fatal(err)
		}
		c.Signatures[i].Signature = signature
	}
	return c
}

// TestRace: peers that are silent are passed by after a while, and what was asked ends with the answer.
func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asker{members: func() []peer.ID { return []peer.ID{"silent", "silent too", "lies", "tells"} }}
		began := time.Now()
		err := a.race(t.Context(), func(ctx context.Context, p peer.ID) error {
			switch p {
			case "tells":
				return nil
			case "lies":
				return fault.New(fault.Invalid, "a lie")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(began); err != nil || took > 2*hedgeTime {
			t.Errorf("%v after %s", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), voteTime)
		defer cancel()
		began = time.Now()
		if err := a.race(ctx, func(ctx context.Context, _ peer.ID) error { <-ctx.Done(); return ctx.Err() }); err == nil || time.Since(began) != voteTime {
			t.Errorf("where all are silent: %v after %s", err, time.Since(began))
		}
		none := &asker{members: func() []peer.ID { return nil }}
		if err := none.race(t.Context(), nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("where nobody is there: %v", err)
		}
	})
}

// TestTurn: what CometBFT tells in another order than it happened changes nothing.
func TestTurn(t *testing.T) {
	now := new(turn)
	say := func(height int64, round int32, step cstypes.RoundStepType) {
		now.see(&cmtcons.NewRoundStep{Height: height, Round: round, Step: uint32(step)})
	}
	say(7, 0, cstypes.RoundStepPropose)
	if now.voted() {
		t.Error("it has voted before the vote")
	}
	say(7, 0, cstypes.RoundStepPrevote)
	say(7, 0, cstypes.RoundStepPropose)
	say(6, 3, cstypes.RoundStepPropose)
	if !now.voted() || now.attempts() != 0 {
		t.Error("it has not voted after the vote")
	}
	say(7, 1, cstypes.RoundStepPropose)
	if now.voted() || now.attempts() != 1 {
		t.Error("it has voted in the round that began")
	}
	say(7, 1, cstypes.RoundStepCommit)
	if !now.voted() {
		t.Error("what was decided passes for proposed")
	}
	say(8, 0, cstypes.RoundStepNewHeight)
	if now.voted() || now.attempts() != 0 {
		t.Error("it has voted on the next block")
	}
}
