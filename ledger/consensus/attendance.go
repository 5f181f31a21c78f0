package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/folkmoot/folkmoot/ledger"
)

// MaxAttendance is over how many of the last blocks it is told who signed.
const MaxAttendance = 100

// Attendance is who signed the last blocks, by the commits that this node has.
type Attendance struct {
	// First and Last are the heights of the blocks that are counted, without a gap; 0: there is none.
	First, Last int64
	// Of has those that had power in one of them.
	Of map[ledger.PublicKey]Attended
}

// Attended is how a validator took part.
type Attended struct {
	// Blocks are those in which it had power, and Signed those of them whose commit has its signature.
	Blocks, Signed int
	// Missed is how many of them have none since the last one that has.
	Missed int
}

// roll remembers who signed which of the last blocks, so that each commit is read once.
type roll struct {
	mu    sync.Mutex
	calls map[int64][]rollCall // by height, at most MaxAttendance; guarded by mu
	set   *types.ValidatorSet  // those that were loaded last; guarded by mu
}

// rollCall says of one validator of a block whether it signed.
type rollCall struct {
	key    ledger.PublicKey
	signed bool
}

// Attendance tells who signed the last blocks but one, at most MaxAttendance: the last block holds the votes for the one before. A commit holds what its proposer had heard by then, so that a validator that is slow is missed in some
// though it voted.
func (e *Engine) Attendance() (a Attendance, err error) {
	err = e.Read(func(blocks *store.BlockStore, states sm.Store) error {
		a, err = e.roll.count(blocks.Base(), blocks.Height()-1, func(height int64) ([]rollCall, error) { return e.roll.callRoll(blocks, states, height) })
		return err
	})
	return a, err
}

// count adds up who signed the blocks up to a height, of those from base on, and asks read for those that it does not remember. It stops at a block of which nothing is known.
func (r *roll) count(base, last int64, read func(height int64) ([]rollCall, error)) (Attendance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := Attendance{Of: make(map[ledger.PublicKey]Attended)}
	kept := make(map[int64][]rollCall, MaxAttendance)
	for height := last; height >= max(base, 1) && height > last-MaxAttendance; height-- {
		calls, known := r.calls[height]
		if !known {
			var err error
			if calls, err = read(height); err != nil {
				return Attendance{}, err
			}
		}
		if len(calls) == 0 {
			break
		}
		kept[height] = calls
		a.First, a.Last = height, last
		for _, c := range calls {
			one := a.Of[c.key]
			one.Blocks++
			if c.signed {
				one.Signed++
			} else if one.Signed == 0 { // the newest come first
				one.Missed++
			}
			a.Of[c.key] = one
		}
	}
	r.calls = kept
	return a, nil
}

// callRoll reads who signed a block; nobody is told of when its commit or its validators are not kept.
func (r *roll) callRoll(blocks *store.BlockStore, states sm.Store, height int64) ([]rollCall, error) {
	commit, meta := blocks.LoadBlockCommit(height), blocks.LoadBlockMeta(height)
	if commit == nil || meta == nil {
		return nil, nil
	}
	// Loading the validators may take a step for each block since they changed: those of one set are loaded once.
	if r.set == nil || !bytes.Equal(r.set.Hash(), meta.Header.ValidatorsHash) {
		set, err := states.LoadValidators(height)
		if _, missing := errors.AsType[sm.ErrNoValSetForHeight](err); missing {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("load the validators of block %d: %w", height, err)
		}
		r.set = set
	}
	calls := make([]rollCall, len(r.set.Validators))
	for i, v := range r.set.Validators {
		copy(calls[i].key[:], v.PubKey.Bytes())
		calls[i].signed = i < len(commit.Signatures) && commit.Signatures[i].BlockIDFlag == types.BlockIDFlagCommit
	}
	return calls, nil
}
