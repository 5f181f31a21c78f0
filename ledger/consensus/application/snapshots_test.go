package application

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// TestNoFirstStateOfASuccessor: the first state of a ledger that goes on from another one does not follow from its genesis, and nothing is put in its place, whatever asks for it.
func TestNoFirstStateOfASuccessor(t *testing.T) {
	old := &ledger.Genesis{Network: "town", Created: time.Unix(1_800_000_000, 0).UTC(), Validators: []ledger.GenesisValidator{{Power: 1}}}
	heir := &ledger.Genesis{Network: "town", Created: old.Created, Validators: old.Validators, Predecessor: &ledger.Predecessor{Genesis: old, Height: 1}}
	for what, begin := range map[string]func(*Application) error{
		"a chain begins": func(a *Application) error {
			_, err := a.InitChain(t.Context(), &abci.RequestInitChain{})
			return err
		},
		"what was fetched is dropped": (*Application).Reset,
		"a fetch is broken off": func(a *Application) error {
			if err := a.Restore(state.Tip{Height: 9}); err != nil {
				t.Fatal(err)
			}
			return a.Abandon()
		},
	} {
		for _, genesis := range []*ledger.Genesis{old, heir} {
			store, err := state.Open(state.Config{Dir: "state", FS: vfs.NewMem(), Network: genesis.ID()})
			if err != nil {
				t.Fatal(err)
			}
			err = begin(New(Config{Store: store, Genesis: genesis}))
			if genesis == old && err != nil || genesis == heir && fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s, with a predecessor %v: %v", what, genesis == heir, err)
			}
			if empty := store.Tip() == (state.Tip{}); empty != (genesis == heir) {
				t.Errorf("%s, with a predecessor %v: the state is empty: %v", what, genesis == heir, empty)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFirstStateOfASuccessorIsKept: the fetching of a later state is broken off, by an error or the end of the process, and the ledger can still begin.
func TestFirstStateOfASuccessorIsKept(t *testing.T) {
	fs := vfs.NewMem()
	old := &ledger.Genesis{Network: "town", Created: time.Unix(1_800_000_000, 0).UTC(), Limits: ledger.DefaultLimits(), Validators: []ledger.GenesisValidator{{Power: 1}}}
	before, err := state.Open(state.Config{Dir: "old", FS: fs, Network: old.ID()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := before.Prepare(&state.Block{Height: 1, Time: old.Created.UnixMilli(), Changes: old.Entries()})
	if err == nil {
		err = before.Commit(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	heir, err := ledger.NewSuccessor(ledger.Predecessor{Genesis: old, Height: 1, Block: ledger.Hash{1}, State: ledger.Hash(before.Tip().Root)}, old.Created, old.Limits, old.Validators)
	if err != nil {
		t.Fatal(err)
	}
	cfg := state.Config{Dir: "state", FS: fs, Network: heir.ID()}
	v := before.View()
	if err := errors.Join(state.Succeed(cfg, heir, v.Snapshot()), v.Close(), before.Close()); err != nil {
		t.Fatal(err)
	}
	var first []byte
	for _, end := range []func(*Application) error{nil, (*Application).Abandon, func(*Application) error { return nil }} {
		store, err := state.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		a := New(Config{Store: store, Genesis: heir})
		began, err := a.InitChain(t.Context(), &abci.RequestInitChain{})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = began.AppHash
		}
		if !bytes.Equal(began.AppHash, first) || store.Tip().Height != 0 {
			t.Errorf("it begins with %x, want %x", began.AppHash, first)
		}
		if err := a.Restore(state.Tip{Height: 9}); err != nil {
			t.Fatal(err)
		}
		if end != nil {
			err = end(a)
		}
		if err := errors.Join(err, store.Close()); err != nil {
			t.Fatal(err)
		}
	}
	store, err := state.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if began, err := New(Config{Store: store, Genesis: heir}).InitChain(t.Context(), &abci.RequestInitChain{}); err != nil || !bytes.Equal(began.AppHash, first) {
		t.Errorf("%+v, %v", began, err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
