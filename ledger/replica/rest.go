package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// Rest is a ledger's data at rest: nobody else has them open, and nothing comes from a network. It is not safe for concurrent use.
type Rest struct {
	genesis *ledger.Genesis
	store   *state.Store
	chain   *consensus.Rest
}

// OpenRest opens the data in the folder of a replica that does not run, and carries out the blocks that the state lacks. It is fault.NotFound when there are none; other errors are those of Open.
func OpenRest(ctx context.Context, dir string, genesis *ledger.Genesis, logger *slog.Logger) (*Rest, error) {
	if _, err := os.Stat(filepath.Join(dir, stateDir)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fault.New(fault.NotFound, "there is no ledger in %s", dir)
		}
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	store, err := state.Open(state.Config{Dir: filepath.Join(dir, stateDir), Network: genesis.ID(), NoWait: true, Logger: logger})
	if err != nil {
		return nil, err
	}
	app := application.New(application.Config{Store: store, Genesis: genesis, Logger: logger})
	chain, err := consensus.OpenRest(ctx, consensus.RestConfig{Dir: dir, Genesis: consensus.GenesisDoc(genesis), Application: app, Changes: changesOf(store), Logger: logger})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &Rest{genesis, store, chain}, nil
}

// restCache is the memory for pages of the tree where data at rest are looked at once, in bytes.
const restCache = 1 << 20

// FindAtRest returns a transaction of a ledger that has ended with the block of a height, of the data in a folder that nobody else has open. It is fault.NotFound only when the transaction certainly is in no block, and
// fault.Conflict when the data don't tell: some blocks are not kept, or the last ones are not there.
func FindAtRest(dir string, network ledger.Hash, height int64, id ledger.TransactionID) (t *ledger.Transaction, place Place, err error) {
	store, err := state.Open(state.Config{Dir: filepath.Join(dir, stateDir), Network: network, CacheBytes: restCache})
	if err != nil {
		return nil, place, err
	}
	v := store.View()
	defer func() { err = errors.Join(err, v.Close(), store.Close()) }()
	first, err := v.First()
	if err != nil {
		return nil, place, err
	}
	b, index, err := find(v, id)
	switch {
	case fault.KindOf(err) == fault.NotFound && (first > 1 || v.Tip.Height < height):
		return nil, place, fault.As(fault.Conflict, err)
	case err != nil:
		return nil, place, err
	case b.Height > height:
		return nil, place, fault.New(fault.NotFound, "transaction %s is in block %d, and the ledger has ended with block %d", id, b.Height, height)
	}
	return b.Transactions[index], Place{b.Height, b.Time, b.Results[index]}, nil
}

// Close closes the data.
func (r *Rest) Close() error { return errors.Join(r.chain.Close(), r.store.Close()) }

// Last returns the last block. It is fault.Internal when the state is not that after the block.
func (r *Rest) Last() (consensus.Last, error) {
	last, err := r.chain.Last()
	if tip := r.store.Tip(); err == nil && last.Height > 0 && (tip.Height != last.Height || ledger.Hash(tip.Root) != last.AppHash) {
		err = fault.New(fault.Internal, "the ledger is damaged: the state of block %d with root %x is not that of block %d with root %s", tip.Height, tip.Root, last.Height, last.AppHash)
	}
	return last, err
}

// Verify checks that the validators whom the genesis leads to have signed the last block. It is fault.Invalid when they have not, and fault.NotFound when headers that lead there are not kept.
func (r *Rest) Verify() error {
	last, err := r.Last()
	if err != nil || last.Height == 0 {
		return err
	}
	path, err := r.chain.Path(0, last.Height)
	if err != nil {
		return err
	}
	header, err := path.Verify(consensus.ChainID(consensus.NetworkID(r.genesis)), light.Root{Genesis: r.genesis})
	if err == nil && header.Hash != last.Hash {
		err = fault.New(fault.Invalid, "the last block is %s, and the path leads to %s", last.Hash, header.Hash)
	}
	return err
}

// Validators returns the validators after the last block.
func (r *Rest) Validators() ([]Validator, error) {
	v := r.store.View()
	list, err := validators(v)
	return list, errors.Join(err, v.Close())
}

// Export writes the blocks from a height on; see consensus.Rest.
func (r *Rest) Export(w io.Writer, from int64) (int64, error) { return r.chain.Export(w, from) }

// Import takes over blocks that follow the last one; see consensus.Rest.
func (r *Rest) Import(ctx context.Context, in io.Reader) (int64, error) {
	return r.chain.Import(ctx, in)
}

// Successor returns the genesis of the ledger that goes on from this one's last block with the given validators, in any order. It is fault.Conflict when there is no block yet.
func (r *Rest) Successor(list []ledger.GenesisValidator) (*ledger.Genesis, consensus.Last, error) {
	last, err := r.Last()
	if err != nil {
		return nil, last, err
	}
	if last.Height == 0 {
		return nil, last, fault.New(fault.Conflict, "no block was ever agreed on: there is nothing to go on from")
	}
	v := r.store.View()
	value, err := v.Get(ledger.LimitsKey())
	var limits ledger.Limits
	if err = errors.Join(err, v.Close()); err == nil {
		err = limits.Unmarshal(value)
	}
	if err != nil {
		return nil, last, err
	}
	g, err := ledger.NewSuccessor(ledger.Predecessor{Genesis: r.genesis, Height: last.Height, Block: last.Hash, State: last.AppHash}, last.Time, limits, list)
	return g, last, err
}

// Succeed makes, in a folder that is not there, the data of a replica of a successor, of the last state of this ledger.
func (r *Rest) Succeed(dir string, genesis *ledger.Genesis) error {
	v := r.store.View()
	err := state.Succeed(state.Config{Dir: filepath.Join(dir, stateDir)}, genesis, v.Snapshot())
	return errors.Join(err, v.Close())
}
