package replica

import (
	"errors"
	"path/filepath"
)

// stateDir is the folder of the state in that of a replica.
const stateDir = "state"

// Checkpoint puts a copy of the ledger's data into a folder, which is on the same disk, as if the node had been stopped at this moment by a loss of power. It is fault.Unavailable when the replica does not run.
func (r *Replica) Checkpoint(dir string) error {
	// The state comes first: a chain that is ahead of it is handed in again, and a state that is ahead of the chain is refused.
	return errors.Join(r.store.Checkpoint(filepath.Join(dir, stateDir)), r.engine.Checkpoint(dir))
}
