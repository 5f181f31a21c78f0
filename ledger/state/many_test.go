package state_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// TestManyAreAsOne: entries that are read at once are those that are read one by one, whether they are remembered or not, in views of the last block and of those before, and in a store that was opened again.
func TestManyAreAsOne(t *testing.T) {
	fs := vfs.NewMem()
	c := found(t, newRand(t), fs, 50)
	old := c.store.View()
	c.blocks(20, 30)
	for _, v := range []*state.View{old, c.store.View()} {
		sameMany(t, v)
		sameMany(t, v) // remembered, if it is the last block
		v.Close()
	}
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
	c.store = openStore(t, fs)
	defer c.store.Close()
	v := c.store.View()
	defer v.Close()
	sameMany(t, v)
	want := make(map[string][]byte)
	if err := v.Ascend(nil, func(key, value []byte) bool { want[string(key)] = bytes.Clone(value); return true }); err != nil {
		t.Fatal(err)
	}
	for key, value := range many(t, v) {
		if !bytes.Equal(value, want[key]) {
			t.Errorf("%x under %x, want %x", value, key, want[key])
		}
	}
}

// many asks for what is in a state, and as much that is not.
func many(t *testing.T, v *state.View) map[string][]byte {
	var keys [][]byte
	if err := v.Ascend(nil, func(key, _ []byte) bool {
		keys = append(keys, bytes.Clone(key), append(bytes.Clone(key), 0), ledger.AccountKey(ledger.AccountID(bytes.Repeat(key[len(key)-1:], 32))))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	found := make(map[string][]byte)
	if err := v.GetMany(keys, func(i int, value []byte) { found[string(keys[i])] = value }); err != nil {
		t.Fatal(err)
	}
	if len(found) != len(keys) {
		t.Fatalf("%d values of %d keys", len(found), len(keys))
	}
	return found
}

func sameMany(t *testing.T, v *state.View) {
	t.Helper()
	for key, value := range many(t, v) {
		if one, err := v.Get([]byte(key)); err != nil || !bytes.Equal(one, value) || (one == nil) != (value == nil) {
			t.Fatalf("block %d: %x under %x, and %x where it is read by itself, %v", v.Tip.Height, value, key, one, err)
		}
	}
}
