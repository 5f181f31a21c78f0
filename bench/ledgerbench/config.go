// Package ledgerbench measures the ledger on one machine in one run, beside CometBFT with its kvstore application: how many transfers validators that run as processes
// of their own take, one by one and in batches, what they cost, how long they take, what they leave on the disk, and how long a new node needs to catch up.
package ledgerbench

import (
	"slices"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Bounds of a Config.
const (
	MaxValidators = 25
	MaxAccounts   = 2_000_000
	MaxCallers    = 3000 // nodes work on 1,024 requests at once
	MaxDuration   = 10 * time.Minute
	MaxCatchUp    = 10_000_000
)

// Config says what is measured. Default and Quick return usual ones.
type Config struct {
	// Validators is how many there are where everything is measured, and Scale the numbers for which the rates are.
	Validators int
	Scale      []int
	// Accounts are how many there are between which money is moved: first where everything is measured, then those for which the rates are.
	Accounts []int
	// Duration is the time for each figure.
	Duration time.Duration
	// Callers hand in transfers one by one at the same time, fewer where there are few nodes to work on their requests; Batchers hand in Batch at once.
	Callers, Batchers, Batch int
	// CatchUp is how many transfers a new node fetches and carries out, at least; 0: that is not measured.
	CatchUp int
	// KVStore says that CometBFT with its kvstore is measured, too.
	KVStore bool
	// Profile is a folder for CPU profiles of the nodes; empty: none are written.
	Profile string
	// Dir is the folder for the nodes' homes; its disk is measured. Empty means the system's folder for temporary files.
	Dir string
	// Program is the path of moot.
	Program string
	// Progress is told what is measured next; it may be nil.
	Progress func(what string)
}

// Default returns what takes some minutes.
func Default() Config {
	return Config{
		Validators: 4, Scale: []int{1, 7, 13}, Accounts: []int{1000}, Duration: 10 * time.Second, Callers: 2048, Batchers: 8, Batch: 500, CatchUp: 20_000, KVStore: true,
	}
}

// Quick returns a Config that takes less than half a minute and shows roughly the same.
func Quick() Config {
	return Config{Validators: 4, Accounts: []int{100}, Duration: time.Second, Callers: 256, Batchers: 4, Batch: 250, CatchUp: 1000, KVStore: true}
}

// Validate returns an error of kind fault.Invalid when the configuration cannot work.
func (c *Config) Validate() error {
	outside := func(numbers []int, least, most int) bool {
		return slices.ContainsFunc(numbers, func(n int) bool { return n < least || n > most })
	}
	switch {
	case outside(append([]int{c.Validators}, c.Scale...), 1, MaxValidators):
		return fault.New(fault.Invalid, "%d and %v validators: want 1 to %d", c.Validators, c.Scale, MaxValidators)
	case len(c.Accounts) == 0 || outside(c.Accounts, 2, MaxAccounts):
		return fault.New(fault.Invalid, "%v accounts: want 2 to %d", c.Accounts, MaxAccounts)
	case c.Duration <= 0 || c.Duration > MaxDuration:
		return fault.New(fault.Invalid, "%v for each figure: want up to %v", c.Duration, MaxDuration)
	case outside([]int{c.Callers, c.Batchers}, 1, MaxCallers):
		return fault.New(fault.Invalid, "%d callers, %d of batches: want 1 to %d", c.Callers, c.Batchers, MaxCallers)
	case c.Batch < 1 || c.Batch > maxBatch:
		return fault.New(fault.Invalid, "batches of %d transfers: want 1 to %d", c.Batch, maxBatch)
	case c.CatchUp < 0 || c.CatchUp > MaxCatchUp:
		return fault.New(fault.Invalid, "%d transfers to catch up: want 0 to %d", c.CatchUp, MaxCatchUp)
	case c.Program == "":
		return fault.New(fault.Invalid, "the path of moot is not known")
	}
	return nil
}

// maxBatch is how many transfers surely fit into a batch.
const maxBatch = v1.MaxBatchBytes / 512

func (c *Config) progress(what string) {
	if c.Progress != nil {
		c.Progress(what)
	}
}
