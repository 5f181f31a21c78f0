package consensus

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

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
		p.asked.Store(0)
		if err := p.CheckEvidence(types.EvidenceList{attack(t, v, key, c.common, height, c.change)}); err != nil || !p.headers.exact(height) {
			t.Errorf("%s: %v", c.name, err)
		}
		if p.asked.Load() == 0 || p.asked.Load() > 3 {
			t.Errorf("%s: %d questions", c.name, p.asked.Load())
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
