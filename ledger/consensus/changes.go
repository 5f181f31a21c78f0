package consensus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	dbm "github.com/cometbft/cometbft-db"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
)

// What leads from the genesis to any block are the headers at which the validators changed, with the validators that signed them. They are kept for ever: those of blocks that this node never had, or no longer
// has, in a list of their own; those of the others are found in the blocks.

// stepPrefix is before the height in the keys of the list, in spaceOwn.
var stepPrefix = []byte("step/")

func stepKey(height int64) []byte { return heightKey(stepPrefix, height) }

// heightKey returns the key of a height behind a prefix: such keys sort as the heights do.
func heightKey(prefix []byte, height int64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(prefix), uint64(height))
}

// history is what leads from the genesis to a block.
type history struct {
	blocks *store.BlockStore
	states sm.Store
	own    dbm.DB
	hints  func(first, last int64) ([]int64, error)
}

// heights returns those of the blocks from first to last at which the validators may have changed, in ascending order. A block that changes validators is told of by the header of the next one.
func (h *history) heights(first, last int64) ([]int64, error) {
	if first > last {
		return nil, nil
	}
	list, err := h.listed(first, last)
	if err != nil {
		return nil, err
	}
	if h.hints != nil && last > 1 {
		more, err := h.hints(max(first-1, 1), last-1)
		if err != nil {
			return nil, fmt.Errorf("read the changes of validators: %w", err)
		}
		for _, at := range more {
			list = append(list, at+1)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// listed returns the heights in the list from first to last, in ascending order.
func (h *history) listed(first, last int64) (list []int64, err error) {
	it, err := h.own.Iterator(stepKey(first), stepKey(last+1))
	if err != nil {
		return nil, fmt.Errorf("read the changes of validators: %w", err)
	}
	for ; it.Valid(); it.Next() {
		list = append(list, int64(binary.BigEndian.Uint64(it.Key()[len(stepPrefix):])))
	}
	if err := it.Error(); err != nil {
		_ = it.Close()
		return nil, fmt.Errorf("read the changes of validators: %w", err)
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("read the changes of validators: %w", err)
	}
	return list, nil
}

// step returns the change of validators at a height; ok is false when they did not change there. It is fault.NotFound when the height is not reached, or what is needed is not kept.
func (h *history) step(height int64) (s light.Step, ok bool, err error) {
	data, err := h.own.Get(stepKey(height))
	if err != nil {
		return light.Step{}, false, fmt.Errorf("read the change of validators at block %d: %w", height, err)
	}
	if data != nil {
		s, rest, err := light.ReadStep(data)
		if err != nil || len(rest) > 0 {
			return light.Step{}, false, fault.New(fault.Internal, "the change of validators at block %d is damaged on disk", height)
		}
		return s, true, nil
	}
	header, signed, err := loadSigned(h.blocks, height)
	if err != nil || bytes.Equal(header.ValidatorsHash, header.NextValidatorsHash) {
		return light.Step{}, false, err
	}
	next, err := loadValidators(h.states, height+1)
	return light.Step{Signed: signed, Next: next}, err == nil, err
}

// keep writes changes of validators into the list, from which they are never removed. It is on disk with the next write that is synced.
func (h *history) keep(steps []keptStep) error {
	batch := h.own.NewBatch()
	for i := range steps {
		if err := batch.Set(stepKey(steps[i].height), steps[i].step.Append(nil)); err != nil {
			_ = batch.Close()
			return fmt.Errorf("keep the change of validators at block %d: %w", steps[i].height, err)
		}
	}
	if err := batch.Write(); err != nil {
		_ = batch.Close()
		return fmt.Errorf("keep changes of validators: %w", err)
	}
	return batch.Close()
}

// keptStep is a change of validators with its height.
type keptStep struct {
	height int64
	step   light.Step
}

// keepBelow writes the changes of validators below a height, whose blocks are about to go, into the list.
func (h *history) keepBelow(height int64) error {
	base := h.blocks.Base()
	if base == 0 {
		return nil
	}
	heights, err := h.heights(base, height-1)
	if err != nil {
		return err
	}
	var steps []keptStep
	for _, at := range heights {
		s, ok, err := h.step(at)
		if err != nil {
			return err
		}
		if ok {
			steps = append(steps, keptStep{at, s})
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return h.keep(steps)
}
