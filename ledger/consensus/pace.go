package consensus

import (
	"time"

	cfg "github.com/cometbft/cometbft/config"
)

// Agreeing on a block costs all nodes about the same, however much is in it: under load fewer and larger blocks leave more for the rest. So the next block begins the later, counted from when this one was decided, the more is in
// this one, up to maxPace for paceBytes, some two hundred transfers. With few transactions under way the next one begins at once.
const (
	maxPace   = 100 * time.Millisecond
	paceBytes = 64 << 10
)

// pace returns how long after a block with the given transactions the next one begins.
func pace(txs [][]byte) time.Duration {
	size := 0
	for _, tx := range txs {
		size += len(tx)
	}
	return maxPace * time.Duration(min(size, paceBytes)) / paceBytes
}

// pacer has CometBFT's consensus wait. It is called while a block is carried out, in the one goroutine that reads these settings afterwards.
type pacer struct{ settings *cfg.ConsensusConfig }

func (p pacer) after(txs [][]byte) { p.settings.TimeoutCommit = pace(txs) }
