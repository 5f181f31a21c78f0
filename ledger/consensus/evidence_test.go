package consensus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// TestOldEvidence: evidence of misbehaviour from before the state that a validator has fetched. The parts share a network to save the time of its start.
func TestOldEvidence(t *testing.T) {
	t.Parallel() // it waits more than it works
	n := newChainNet(t, 8)
	n.beat = 100 * time.Millisecond // so that others come up to it soon
	o := &oldNet{chainNet: n, whole: t, a: newCulprit(), b: newCulprit(), v: n.node(Sync{Mode: Blocks})}
	o.v.signer = n.signer
	o.v.start()
	n.propose(o.v, ledger.SetPower{Validator: o.a.public(), Power: 1}, ledger.SetPower{Validator: o.b.public(), Power: 1})
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
			part.f(t, o)
			n.t = o.whole
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
	o.propose(o.v, ledger.SetPower{Validator: o.late.signer.PublicKey(), Power: 3})
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
		gossip: rate.NewLimiter(0, gossipBurst), looks: rate.NewLimiter(0, lookBurst), one: make(chan struct{}, 1),
		asker: &asker{client: p.proofs.asker.client, members: func() []peer.ID { out.asked++; return slices.Clone(out.members) }},
	}
	return out
}

// bogus: evidence that nobody signed, or that is too old, costs no question, and what a validator did sign for another time one.
func bogus(t *testing.T, o *oldNet) {
	p := newProbe(t, o.late, t.Context())
	p.members = []peer.ID{o.v.host.ID()}
	good := o.a.misbehaved(o.v, o.height)
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
	for h := int64(1); h < o.height+5; h++ {
		stranger, other := *good, newCulprit()
		stranger.VoteA, stranger.VoteB = other.vote(t, o.chainID(), h, 0, good.Timestamp, 'a'), other.vote(t, o.chainID(), h, 0, good.Timestamp, 'b')
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
	state := p.State()
	for _, expired := range []bool{false, true} {
		if expired {
			state.LastBlockHeight += state.ConsensusParams.Evidence.MaxAgeNumBlocks + 1
			state.LastBlockTime = state.LastBlockTime.Add(state.ConsensusParams.Evidence.MaxAgeDuration + time.Minute)
		}
		if err := p.headers.dropExpired(&state); err != nil {
			t.Fatal(err)
		}
		if _, err := p.headers.fetchedHeader(o.height); (err != nil) != expired {
			t.Errorf("expired %t: %v", expired, err)
		}
	}
}

// bounded: where nobody answers, evidence that peers send costs as many questions as are allowed, and after a wait in vain for a vote there is none for a while.
func bounded(t *testing.T, o *oldNet) {
	p := newProbe(t, o.late, t.Context())
	refused := 0
	for i := range int64(2 * gossipBurst) {
		if err := p.forGossip(o.a.misbehaved(o.v, o.height+i%6)); err == nil {
			t.Error("evidence is checked without a header")
		} else if fault.KindOf(err) == fault.Full {
			refused++
		}
	}
	if p.asked != gossipBurst || refused != gossipBurst {
		t.Errorf("peers' evidence leads to %d questions, and %d pieces were over the limit", p.asked, refused)
	}
	p.asked = 0
	for range lookBurst {
		_ = p.forGossip(o.a.misbehaved(o.v, o.height))
	}
	if p.looks.Tokens() > 0 {
		t.Error("more evidence is looked at than is allowed")
	}
	for range 3 {
		if err := p.CheckEvidence(types.EvidenceList{o.a.misbehaved(o.v, o.height)}); err == nil {
			t.Error("evidence is voted for without a header")
		}
	}
	if p.asked != 1 {
		t.Errorf("for votes others were asked %d times within %s", p.asked, quietTime)
	}
}

// waitsForDecided: where the node can't go on without a header, it is waited for until somebody has it, or the engine ends.
func waitsForDecided(t *testing.T, o *oldNet) {
	list := types.EvidenceList{o.a.misbehaved(o.v, o.height)}
	life, end := context.WithCancel(t.Context())
	p := newProbe(t, o.late, life)
	p.turn.see(&cmtcons.NewRoundStep{Height: 5, Step: uint32(cstypes.RoundStepPrevote)})
	done := make(chan error, 1)
	go func() { done <- p.CheckEvidence(list) }()
	eventually(t, "that it waits", func() bool { return p.waitsFor() != "" })
	end()
	if err := <-done; err == nil || p.cuts != 1 {
		t.Errorf("after the end: %v, %d", err, p.cuts)
	}
	p = newProbe(t, o.late, t.Context())
	p.members, p.must = []peer.ID{o.v.host.ID()}, true
	if err := p.CheckEvidence(list); err != nil || p.waitsFor() != "" {
		t.Errorf("%v, waits for %q", err, p.waitsFor())
	}
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

// attacks: two histories signed by more than two thirds are evidence, too, whether the validators made up what a block leads to or decided twice. Those whom it accuses follow from the very commit that all nodes have.
func attacks(t *testing.T, o *oldNet) {
	v := o.v
	height := o.late.engine.Status().Base - 4
	key := cmted25519.PrivKey(keyIn(t, v.net.keys).Bytes())
	for _, c := range []struct {
		name   string
		common int64
		change func(h *types.Header)
	}{
		{"decided twice", height, func(h *types.Header) { h.DataHash = bytes.Repeat([]byte{1}, sha256.Size) }},
		{"made up", height - 1, func(h *types.Header) { h.AppHash = bytes.Repeat([]byte{1}, sha256.Size) }},
	} {
		p := newProbe(t, o.late, t.Context())
		if err := p.CheckEvidence(types.EvidenceList{attack(t, v, key, c.common, height, c.change)}); err == nil {
			t.Errorf("%s: it is voted for without a header", c.name)
		}
		p.quiet = time.Time{}
		p.members = []peer.ID{o.v.host.ID()}
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

// TestIsNew: evidence passes for new only if nobody whom it accuses has lost power since, and the last validator can't have lost it. Validators of old heights follow from the changes alone.
func TestIsNew(t *testing.T) {
	const fetched = 100
	a, b, c := newCulprit(), newCulprit(), newCulprit()
	set := func(list ...culprit) *types.ValidatorSet {
		var validators []*types.Validator
		for _, one := range list {
			validators = append(validators, types.NewValidator(one.key.PubKey(), 10))
		}
		return types.NewValidatorSet(validators)
	}
	genesis := &types.GenesisDoc{ChainID: "old"}
	for _, one := range []culprit{a, b} {
		genesis.Validators = append(genesis.Validators, types.GenesisValidator{PubKey: one.key.PubKey(), Power: 10})
	}
	// The validators are a and b up to block 20, a, b and c up to 50, a and b up to 60, a up to 70, and then others.
	changes := []struct {
		at   int64
		next *types.ValidatorSet
	}{{20, set(a, b, c)}, {50, set(a, b)}, {60, set(a)}, {70, set(a, b)}, {80, set(a, b, c)}}
	make := func(last *types.ValidatorSet) *oldHeaders {
		o := &oldHeaders{history: &history{blocks: store.NewBlockStore(dbm.NewMemDB()), states: sm.NewStore(dbm.NewMemDB(), sm.StoreOptions{}), own: dbm.NewMemDB()}, genesis: genesis, fetched: new(atomic.Int64)}
		o.fetched.Store(fetched)
		var steps []keptStep
		for _, s := range changes {
			steps = append(steps, keptStep{s.at, light.Step{Next: light.Validators(s.next)}})
		}
		if err := o.keep(steps); err != nil {
			t.Fatal(err)
		}
		now := changes[len(changes)-1].next
		if err := o.states.Bootstrap(sm.State{
			ChainID: "old", InitialHeight: 1, LastBlockHeight: fetched, LastValidators: now, Validators: now, NextValidators: last,
			ConsensusParams: *types.DefaultConsensusParams(), LastHeightValidatorsChanged: fetched + 2,
		}); err != nil {
			t.Fatal(err)
		}
		return o
	}
	same, without := make(set(a, b, c)), make(set(a, c))
	accusing := func(one culprit, height int64) types.Evidence {
		return &types.DuplicateVoteEvidence{VoteA: &types.Vote{Height: height, ValidatorAddress: one.key.PubKey().Address()}}
	}
	for _, x := range []struct {
		o      *oldHeaders
		who    culprit
		height int64
		want   bool
	}{
		{same, a, 100, true}, {same, b, 90, true}, {same, b, 71, true}, {same, c, 81, true},
		{without, b, 90, false}, {without, a, 90, true}, // the block whose state was fetched may have had it
		{same, c, 80, false}, {same, c, 21, false}, // it had no power in between, or none at all
		{same, a, 65, false}, {same, a, 5, false}, // it was the only one in between
		{same, b, 60, false},
	} {
		if got := x.o.isNew(accusing(x.who, x.height)); got != x.want {
			t.Errorf("block %d: new %t, want %t", x.height, got, x.want)
		}
	}
	if same.isNew(&types.LightClientAttackEvidence{CommonHeight: 90}) {
		t.Error("an attack in which nobody is accused passes for new")
	}
	for height, want := range map[int64]*types.ValidatorSet{1: set(a, b), 20: set(a, b), 21: set(a, b, c), 50: set(a, b, c), 51: set(a, b), 61: set(a), 81: set(a, b, c), 99: set(a, b, c)} {
		got, err := oldValidators{same.states, same}.LoadValidators(height)
		if err != nil || !bytes.Equal(got.Hash(), want.Hash()) {
			t.Errorf("the validators of block %d are others: %v", height, err)
		}
	}
	if _, err := (oldValidators{same.states, same}).LoadValidators(fetched + 9); err == nil {
		t.Error("there are validators of a block that is not there")
	}
	if same.old(fetched+1) || same.old(0) || !same.old(fetched) {
		t.Error("other headers are fetched than those from before")
	}
}
