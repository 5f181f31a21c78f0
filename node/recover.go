package node

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// LedgerAtRest is the ledger of a home whose node does not run.
type LedgerAtRest struct {
	Genesis    *ledger.Genesis
	Last       consensus.Last
	Validators []replica.Validator
	// Own is the key that the node votes with, nil when it has none.
	Own *ledger.PublicKey
}

// ReadLedger tells how the ledger of a home stands. It is fault.Conflict when the node runs, and fault.NotFound when the home has no ledger.
func ReadLedger(ctx context.Context, home string) (l LedgerAtRest, err error) {
	err = withLedger(ctx, home, func(info HomeInfo, r *replica.Rest) error {
		l, err = readLedger(home, info, r)
		return err
	})
	return l, err
}

func readLedger(home string, info HomeInfo, r *replica.Rest) (l LedgerAtRest, err error) {
	l.Genesis = info.Genesis
	if l.Last, err = r.Last(); err != nil {
		return l, err
	}
	if l.Validators, err = r.Validators(); err != nil {
		return l, err
	}
	s, err := signer.Read(filepath.Join(home, validatorDir))
	if fault.KindOf(err) == fault.NotFound {
		return l, nil
	}
	if err == nil {
		key := ledger.PublicKey(s.PublicKey())
		l.Own = &key
	}
	return l, err
}

// withLedger calls f with the ledger of a home whose node does not run.
func withLedger(ctx context.Context, home string, f func(HomeInfo, *replica.Rest) error) error {
	return withHome(home, func(info HomeInfo) error { return atRest(ctx, home, info, f) })
}

// withHome calls f while nobody else uses a home that has a ledger. What was broken off there is finished before.
func withHome(home string, f func(HomeInfo) error) error {
	if _, err := ReadHome(home); err != nil { // a folder that is no home gets no lock
		return err
	}
	lock, err := lockHome(home)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	info, err := ReadHome(home)
	if err != nil {
		return err
	}
	if info.Genesis == nil {
		return fault.New(fault.NotFound, "home %s is a node of the open network %s, which has no ledger", home, info.Network)
	}
	if err := finishSuccession(home, info.Genesis); err != nil {
		return err
	}
	return f(info)
}

// atRest calls f with the ledger of a home that is locked.
func atRest(ctx context.Context, home string, info HomeInfo, f func(HomeInfo, *replica.Rest) error) error {
	r, err := replica.OpenRest(ctx, filepath.Join(home, ledgerDir), info.Genesis, nil)
	if err != nil {
		return err
	}
	return errors.Join(f(info, r), r.Close())
}

// ExportBlocks writes the blocks of the ledger of a home from a height on, with the commits for them, to w, and returns how many. Errors are those of ReadLedger; fault.NotFound also when a block is not kept.
func ExportBlocks(ctx context.Context, home string, w io.Writer, from int64) (count int64, err error) {
	err = withLedger(ctx, home, func(_ HomeInfo, r *replica.Rest) error {
		count, err = r.Export(w, from)
		return err
	})
	return count, err
}

// ImportBlocks takes over those of another survivor's blocks that this home lacks, and returns how many and how its ledger stands then. Each is checked against the validators before it: fault.Invalid when it is forged
// or does not follow.
func ImportBlocks(ctx context.Context, home string, in io.Reader) (count int64, l LedgerAtRest, err error) {
	err = withLedger(ctx, home, func(info HomeInfo, r *replica.Rest) error {
		if count, err = r.Import(ctx, in); err != nil {
			return err
		}
		l, err = readLedger(home, info, r)
		return err
	})
	return count, l, err
}

// RecoverOptions say who the validators of a successor are.
type RecoverOptions struct {
	// Keep are keys of present validators that stay, with their power and operators. Validators are further ones.
	Keep       []ledger.PublicKey
	Validators []ledger.GenesisValidator
	// Agreed is the id of the successor that those who found it have agreed on. Zero: nothing is changed.
	Agreed ledger.Hash
}

// Recovered is what Recover found or did.
type Recovered struct {
	Genesis *ledger.Genesis
	// Last is the last block of the predecessor, zero where the home has gone on from it before.
	Last consensus.Last
	// Kept is the power of those validators of the predecessor that stay, and Power that of all.
	Kept, Power uint64
	// Done says that the home is one of the successor.
	Done bool
}

// Recover makes the genesis of a ledger that goes on from the last block of the ledger of home, whose node does not run, and with Agreed makes home a node of that one: of the same network, whose records stay, and with
// the key that it voted with, which signs nothing for the predecessor any more. The predecessor's data are kept. It is one step for everybody else: after a crash the home is one of the
// predecessor as before, or of the successor.
//
// An error is fault.Conflict when the node runs, when the genesis is not the one agreed on, and when there is no block; fault.NotFound when home has no ledger; fault.Invalid for wrong validators.
func Recover(ctx context.Context, home string, opts RecoverOptions) (done Recovered, err error) {
	err = withHome(home, func(info HomeInfo) error {
		if info.Genesis.Predecessor != nil && info.Genesis.ID() == opts.Agreed { // done before, or finished just now
			done = Recovered{Genesis: info.Genesis, Done: true}
			return nil
		}
		err := atRest(ctx, home, info, func(_ HomeInfo, r *replica.Rest) error {
			done, err = planSuccession(r, opts)
			if err != nil || opts.Agreed == (ledger.Hash{}) {
				return err
			}
			return prepareSuccession(home, r, done, opts.Agreed)
		})
		if err != nil || opts.Agreed == (ledger.Hash{}) {
			return err
		}
		s := succession{home, done.Genesis}
		for _, step := range s.steps() {
			if err := step(); err != nil {
				return err
			}
		}
		done.Done = true
		return nil
	})
	return done, err
}

// planSuccession makes the genesis of a successor.
func planSuccession(r *replica.Rest, opts RecoverOptions) (done Recovered, err error) {
	if err := r.Verify(); err != nil && fault.KindOf(err) != fault.NotFound {
		return done, err
	}
	present, err := r.Validators()
	if err != nil {
		return done, err
	}
	list, err := successors(present, opts)
	if err != nil {
		return done, err
	}
	chosen := make(map[ledger.PublicKey]bool, len(list))
	for _, v := range list {
		chosen[v.Key] = true
	}
	for _, v := range present {
		done.Power += v.Power
		if chosen[v.Key] {
			done.Kept += v.Power
		}
	}
	done.Genesis, done.Last, err = r.Successor(list)
	return done, err
}

// successors returns the validators of a successor.
func successors(present []replica.Validator, opts RecoverOptions) ([]ledger.GenesisValidator, error) {
	list := append([]ledger.GenesisValidator(nil), opts.Validators...)
	known := make(map[ledger.PublicKey]ledger.Validator, len(present))
	for _, v := range present {
		known[v.Key] = v.Validator
	}
	for _, key := range opts.Keep {
		v, ok := known[key]
		if !ok {
			return nil, fault.New(fault.Invalid, "%s is no validator after the last block, and can't be kept", key)
		}
		list = append(list, ledger.GenesisValidator{Key: key, Power: v.Power, Operator: v.Operator})
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Invalid, "a successor needs validators")
	}
	return list, nil
}
