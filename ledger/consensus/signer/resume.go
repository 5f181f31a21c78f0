package signer

import (
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/privatefile"
)

const (
	// clockLeeway is how far the validators' time may be ahead of the clock by which an owner vouched. Blocks further ahead are not voted for.
	clockLeeway = time.Minute
	// quietTime is how long the chain is watched for signatures of the key after that, and quietBlocks how many blocks in a row must be without one at the end. A commit need not have the signatures of all, but who signs
	// is not missing for long.
	quietTime   = time.Minute
	quietBlocks = 3
)

// Copy is a validator's key with what it had signed, as a backup holds them.
type Copy struct {
	Key   []byte // the file of the key
	State []byte // the file of what it signed last
	// Stopped says that the node did not run when the copy was taken.
	Stopped bool
}

// Take returns a copy of the key in dir, whether it is in use or not. It is fault.NotFound when there is none.
func Take(dir string, stopped bool) (*Copy, error) {
	if _, err := Read(dir); err != nil { // a damaged file is found out now, and not when it is needed
		return nil, err
	}
	key, err := privatefile.Read(filepath.Join(dir, KeyFile), maxFile)
	if err != nil {
		return nil, fmt.Errorf("read the validator's key: %w", err)
	}
	// The state may be replaced at any time, whole: what is read is one that was.
	state, err := privatefile.Read(filepath.Join(dir, StateFile), maxFile)
	if err != nil {
		return nil, fmt.Errorf("read the validator's state: %w", err)
	}
	return &Copy{key, state, stopped}, nil
}

// Restore writes a copy that was taken at a time into a folder that has neither key nor state. The signer is barred: it is not known what the key signed since. An error is fault.Invalid when the copy is
// damaged or of another chain.
func Restore(dir, chain string, c *Copy, taken time.Time) error {
	if err := validateChain(chain); err != nil {
		return err
	}
	key, err := decodeKey(c.Key)
	if err != nil {
		return fault.New(fault.Invalid, "restore the validator's key: %w", err)
	}
	st, err := decodeState(c.State)
	if err != nil {
		return fault.New(fault.Invalid, "restore the validator's state: %w", err)
	}
	switch {
	case string(st.key) != string(publicOf(key)):
		return fault.New(fault.Invalid, "restore the validator's state: it is of another key")
	case st.chain != "" && st.chain != chain:
		return fault.New(fault.Invalid, "restore the validator's key: it is for chain %q, not %q", st.chain, chain)
	}
	st.chain = chain
	st.bar = fmt.Sprintf("the key was restored from a backup of %s, and may have signed since", taken.UTC().Format(time.RFC3339))
	st.restored, st.stopped, st.vouched, st.given = taken.UnixMilli(), c.Stopped, 0, false
	_, err = write(dir, key, st)
	return err
}

// Vouch notes that the owner of a barred key vouches, at the given time, that nothing else signs with it any more and never will. The bar is lifted once the chain has moved on without the key; see Decided. With
// givenUp the owner vouches, too, that whatever the key signed and this state does not know of is in the chain of this node or lost for good, so that nobody else has it: see Resume. An error is fault.Invalid when the key is not barred.
func (s *Signer) Vouch(at time.Time, givenUp bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.barred()
	}
	if s.state.bar == "" {
		return fault.New(fault.Invalid, "the validator is not barred: it votes")
	}
	next := s.state
	next.vouched, next.given = at.UnixMilli(), givenUp
	s.save(next)
	return s.writable()
}

// GivenUp reports whether the key is barred and its owner has given up what its state does not know of, so that Resume may lift the bar.
func (s *Signer) GivenUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.bar != "" && s.state.given && s.broken == nil
}

// Resume lifts the bar of a key whose owner has given up what the state does not know of, once its node has all that the others have: a chain of the given height, in which the key is the only validator's or not.
// Nothing is signed at or below height then. It is fault.Forbidden, with the reason, when that can't be so: others must have seen what the key signed, unless the node had stopped when the backup was taken and
// no later signature of the key was met since (see Witness); and a chain without a block for which the key has voted lacks blocks.
func (s *Signer) Resume(height int64, alone bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		return s.writable()
	case s.state.bar == "":
		return nil
	case !s.state.given:
		return s.barred()
	case s.state.height > height+1:
		return fault.New(fault.Forbidden, "the key signed for block %d before the backup, and the ledger here ends at block %d: the blocks between must be fetched or restored first", s.state.height, height)
	case !alone && !s.state.stopped:
		return fault.New(fault.Forbidden, "there are other validators after block %d, who know what the key signed since the backup: it votes when they have made blocks without it for two minutes", height)
	}
	s.lift(height)
	return s.writable()
}

// Decided tells the signer that the block of a height and time was decided, and whether the key signed the block before it. While the key is barred and its owner vouches that nothing else signs with it any more,
// the bar is lifted by a block that is later than that by two minutes, when it is at least the third in a row without a signature of the key. If a signature is given after the owner vouched, the owner was wrong, and has
// to vouch again.
//
// That is safe: a block's time is the median of the times at which the block before it was voted for. So that one was decided after the owner vouched, and what the key had signed until then is for no block
// above it. Nothing at or below the present one is signed.
func (s *Signer) Decided(height int64, at time.Time, signed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.bar == "" || s.state.vouched == 0 || s.broken != nil {
		return
	}
	vouched := time.UnixMilli(s.state.vouched).Add(clockLeeway)
	switch {
	case !at.After(vouched):
		s.quiet = 0
	case signed:
		s.quiet = 0
		next := s.state
		next.vouched, next.given = 0, false
		next.bar = fmt.Sprintf("the key was seen to sign block %d, after its owner had vouched that nothing else signs with it", height-1)
		s.save(next)
	default:
		s.quiet++
		if s.quiet >= quietBlocks && at.After(vouched.Add(quietTime)) {
			s.lift(height)
		}
	}
}

// lift lifts the bar, while s.mu is held: nothing is signed at or below a height, nor what was signed before.
func (s *Signer) lift(height int64) {
	next := state{key: s.state.key, chain: s.state.chain, height: height, round: math.MaxInt32, step: precommit}
	if height < 1 || s.state.compare(height, math.MaxInt32, precommit) <= 0 {
		next = s.state
		next.bar, next.restored, next.stopped, next.vouched, next.given = "", 0, false, 0, false
	}
	s.save(next)
}
