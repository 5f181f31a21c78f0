package state

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Succeed makes the store of a ledger that goes on from another one, in a folder without a store: of the snapshot of its predecessor's last state, which is checked against the root that the genesis names. It is
// fault.Invalid when the snapshot is of another state. After an error the folder is to be removed.
func Succeed(cfg Config, genesis *ledger.Genesis, snapshot iter.Seq2[[]byte, error]) error {
	p := genesis.Predecessor
	if p == nil {
		return fault.New(fault.Invalid, "make the first state of a successor: the ledger goes on from none")
	}
	cfg.Network, cfg.NoWait = p.Genesis.ID(), true
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	err = s.take(snapshot, Tip{Height: p.Height, Time: genesis.Created.UnixMilli(), Root: [32]byte(p.State)})
	if err == nil {
		err = s.succeed(genesis)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("make the first state of a successor: %w", err)
	}
	return nil
}

// take restores a snapshot of the state that has a tip.
func (s *Store) take(snapshot iter.Seq2[[]byte, error], tip Tip) error {
	r, err := s.Restore(tip)
	if err != nil {
		return err
	}
	for chunk, err := range snapshot {
		if err == nil {
			err = r.Apply(chunk)
		}
		if err != nil {
			return errors.Join(err, r.Abandon())
		}
	}
	if err := r.Finish(); err != nil {
		return errors.Join(err, r.Abandon())
	}
	return nil
}

// succeed makes the last state of a predecessor the first one of its successor.
func (s *Store) succeed(genesis *ledger.Genesis) error {
	v := s.View()
	changes, err := genesis.Succession(v)
	var pending *Pending
	if err == nil {
		pending, err = v.prepare(&Block{Height: v.Tip.Height + 1, Time: v.Tip.Time, Changes: changes})
	}
	if err = errors.Join(err, v.Close()); err != nil {
		return err
	}
	pending.block.Height, pending.tip.Height = 0, 0 // blocks are counted anew
	b := s.db.NewBatch()
	errs := []error{s.fill(b, pending)}
	for _, prefix := range []byte{prefixID, prefixResults} {
		errs = append(errs, b.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil))
	}
	network := genesis.ID()
	errs = append(errs, b.Delete(metaKey(metaFirst), nil), b.Set(metaKey(metaNetwork), network[:], nil), s.write(b, pebble.Sync))
	return errors.Join(errs...)
}
