package consensus

import "path/filepath"

// chainDir is the folder of CometBFT's databases in that of an engine.
const chainDir = "chain"

// Checkpoint puts a copy of CometBFT's databases into a folder that is on the same disk, as if the engine had stopped at this moment; its write-ahead log is not in it. It is fault.Unavailable when the engine does not
// run.
func (e *Engine) Checkpoint(dir string) error {
	return e.use(func(p *parts) error { return p.store.Checkpoint(filepath.Join(dir, chainDir)) })
}
