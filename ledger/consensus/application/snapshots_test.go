package application

import (
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
