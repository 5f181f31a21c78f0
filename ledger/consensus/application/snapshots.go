package application

import (
	"errors"
	"fmt"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// The state travels to other nodes in snapshots: these methods are consensus.Snapshots.

// takeSnapshot begins to take one of the state after a block, if that is due.
func (a *Application) takeSnapshot(height int64) {
	if k := a.cfg.Keeper; k != nil && k.Due(height) {
		k.Take(a.cfg.Store.View())
	}
}

// List returns the snapshots that others can fetch here.
func (a *Application) List() []state.Snapshot {
	if a.cfg.Keeper == nil {
		return nil
	}
	return a.cfg.Keeper.List()
}

// Chunk returns a chunk of one of them. It is fault.NotFound when it is not there.
func (a *Application) Chunk(height int64, index uint32) ([]byte, error) {
	if a.cfg.Keeper == nil {
		return nil, fault.New(fault.NotFound, "this node takes no snapshots")
	}
	return a.cfg.Keeper.Chunk(height, index)
}

// Restore begins to make the state of a snapshot with a known tip. Until it is finished, the state is that of the genesis to all who ask.
func (a *Application) Restore(tip state.Tip) error {
	if a.restorer != nil {
		return fault.New(fault.Conflict, "another snapshot is being restored")
	}
	r, err := a.cfg.Store.Restore(tip)
	if err == nil {
		a.restorer = r
	}
	return err
}

// Apply takes the next chunk. It is fault.Invalid or fault.TooLarge when it is forged.
func (a *Application) Apply(chunk []byte) error {
	if a.restorer == nil {
		return errNoRestore
	}
	return a.restorer.Apply(chunk)
}

// Finish makes what was restored the state, on disk. It is fault.Invalid when a chunk was forged.
func (a *Application) Finish() error {
	if a.restorer == nil {
		return errNoRestore
	}
	err := a.restorer.Finish()
	if err == nil {
		a.restorer = nil
	}
	return err
}

var errNoRestore = errors.New("no snapshot is being restored")

// Abandon ends a restore that is not finished: the state is the first one again.
func (a *Application) Abandon() error {
	if a.restorer == nil {
		return nil
	}
	err := a.restorer.Abandon()
	a.restorer = nil
	if err != nil {
		return err
	}
	return a.found()
}

// Reset makes the state the first one again.
func (a *Application) Reset() error {
	if err := a.cfg.Store.Reset(); err != nil {
		return err
	}
	return a.found()
}

// found makes the first state in a store that is empty, of the genesis. It is fault.NotFound in a ledger that goes on from another one, whose last state is needed for that.
func (a *Application) found() error {
	if a.cfg.Store.Tip() != (state.Tip{}) {
		return nil
	}
	if a.cfg.Genesis.Predecessor != nil {
		return fault.New(fault.NotFound, `the state of the ledger that this one goes on from is not here: remove the folder "ledger" of the home and give "moot init --genesis FILE --state FILE"`)
	}
	p, err := a.cfg.Store.Prepare(&state.Block{Time: a.cfg.Genesis.Created.UnixMilli(), Changes: a.cfg.Genesis.Entries()})
	if err == nil {
		err = a.cfg.Store.Commit(p)
	}
	if err != nil {
		return fmt.Errorf("make the first state: %w", err)
	}
	return nil
}
