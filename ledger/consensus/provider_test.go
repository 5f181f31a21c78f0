package consensus

import (
	"math/rand/v2"
	"testing"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// TestTurns: who proposes when, as it follows from the changes of validators, is what comes of carrying out each block.
func TestTurns(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var keys []ed25519.PubKey
	for i := range 12 {
		keys = append(keys, ed25519.GenPrivKeyFromSecret([]byte{byte(i)}).PubKey().(ed25519.PubKey))
	}
	genesis := &types.GenesisDoc{ChainID: "turns"}
	for i := range 4 {
		genesis.Validators = append(genesis.Validators, types.GenesisValidator{PubKey: keys[i], Power: 1 + rng.Int64N(100)})
	}
	p := newProvider(t.Context(), genesis, nil)

	// As CometBFT does it: after block h the validators of h+2 are those of h+1, changed by the block, and moved on by one.
	const blocks = 3000
	now := p.first.Copy() // of height 1
	sets := []*types.ValidatorSet{nil, now, now.CopyIncrementProposerPriority(1)}
	for h := int64(1); h <= blocks; h++ {
		next := sets[h+1].Copy()
		if rng.IntN(40) == 0 {
			var changes []*types.Validator
			for _, i := range rng.Perm(len(keys))[:1+rng.IntN(4)] {
				power := rng.Int64N(100)
				if power%3 == 0 && next.HasAddress(keys[i].Address()) && next.Size() > 4 {
					power = 0
				} else {
					power++
				}
				changes = append(changes, types.NewValidator(keys[i], power))
			}
			before := next.Hash()
			if err := next.UpdateWithChangeSet(changes); err != nil {
				t.Fatal(err)
			}
			if string(next.Hash()) != string(before) {
				p.steps = append(p.steps, keptStep{h + 1, light.Step{Next: light.Validators(next)}})
			}
		}
		next.IncrementProposerPriority(1)
		sets = append(sets, next)
	}
	for range 60 {
		h := 1 + rng.Int64N(blocks-1)
		got, err := p.turns(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if want := sets[h+int64(i)]; got[i].String() != want.String() {
				t.Fatalf("block %d: the validators are\n%s\nand should be\n%s", h+int64(i), got[i], want)
			}
		}
	}
}
