package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// same checks that a view answers for each key what it has on the disk, and nothing for what is not there.
func same(v *state.View) error {
	values := make(map[string][]byte)
	if err := v.Ascend(nil, func(key, value []byte) bool {
		values[string(key)] = bytes.Clone(value)
		return true
	}); err != nil {
		return err
	}
	for key, want := range values {
		got, err := v.Get([]byte(key))
		if err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("block %d: %x under %x, want %x, %v", v.Tip.Height, got, key, want, err)
		}
	}
	for i := range 5 {
		if got, err := v.Get(ledger.AccountKey(newHolder(1000 + i).id)); got != nil || err != nil {
			return fmt.Errorf("block %d: %x under what is not there, %v", v.Tip.Height, got, err)
		}
	}
	return nil
}

// TestEntriesAreTheViews: what is remembered of entries is as of the block of the view, while blocks come, for old views and new ones, also when they are read at the same time.
func TestEntriesAreTheViews(t *testing.T) {
	c := found(t, newRand(t), vfs.NewMem(), 20)
	defer c.store.Close()
	var old []*state.View
	for range 20 {
		c.blocks(1, 10)
		old = append(old, c.store.View())
		var readers sync.WaitGroup
		errs := make([]error, len(old))
		for i, v := range old {
			readers.Go(func() { errs[i] = same(v) })
		}
		c.blocks(1, 10)
		readers.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		v := c.store.View()
		if err := errors.Join(same(v), same(v), v.Close()); err != nil { // read from the disk, then remembered
			t.Fatal(err)
		}
	}
	for _, v := range old {
		v.Close()
	}
	whole(t, c.store)
}
