package consensus

import (
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
)

// blockBytes is the most bytes of a block: as many transfers as the default limits of a genesis let in.
const blockBytes = 4 << 20

// GenesisDoc returns a ledger's genesis as CometBFT has it.
func GenesisDoc(g *ledger.Genesis) *types.GenesisDoc {
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = blockBytes
	doc := &types.GenesisDoc{ChainID: ChainID(NetworkID(g)), GenesisTime: g.Created.UTC(), InitialHeight: 1, ConsensusParams: params}
	for _, v := range g.Validators {
		key := ed25519.PubKey(append([]byte(nil), v.Key[:]...))
		doc.Validators = append(doc.Validators, types.GenesisValidator{Address: key.Address(), PubKey: key, Power: int64(v.Power)})
	}
	return doc
}

// NetworkID returns the id of the network that begins with a genesis.
func NetworkID(g *ledger.Genesis) swarm.NetworkID { return swarm.NetworkID(g.ID()) }
