package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// foundedHome makes the home of a network's only validator, whose node has made a block and stopped.
func foundedHome(t *testing.T) (home string, own ledger.PublicKey) {
	t.Helper()
	home = filepath.Join(t.TempDir(), "home")
	own, err := ValidatorKey(home)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGenesis("town", []ledger.GenesisValidator{{Key: own, Power: 1, Operator: ledger.AccountID(own)}})
	if err == nil {
		_, err = JoinHome(home, g)
	}
	if err != nil {
		t.Fatal(err)
	}
	runUntilBlock(t, home, 1)
	return home, own
}

// runUntilBlock runs the node of a home until its ledger has a block, and stops it.
func runUntilBlock(t *testing.T, home string, height int64) {
	t.Helper()
	n, err := New(Config{Home: home, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	for end := time.Now().Add(time.Minute); n.Ledger().Tip().Height < height; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("no block %d: %v", height, n.Ledger().Health())
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// copyHome makes a copy of a home whose node does not run.
func copyHome(t *testing.T, home string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{identityFile, filepath.Join(validatorDir, signer.KeyFile), filepath.Join(validatorDir, signer.StateFile)} {
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil { // CopyFS gives them to everybody
			t.Fatal(err)
		}
	}
	return dir
}

// TestSuccessionAtEachCrash: after a crash at any step of a succession the home is one of the old ledger as it was, or of the new one, to whatever opens it next; and the same command has it be the new one's.
func TestSuccessionAtEachCrash(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	original, own := foundedHome(t)
	opts := RecoverOptions{Keep: []ledger.PublicKey{own}}
	plan, err := Recover(ctx, original, opts)
	if err != nil {
		t.Fatal(err)
	}
	before, err := ReadLedger(ctx, original)
	if err != nil {
		t.Fatal(err)
	}
	opts.Agreed = plan.Genesis.ID()
	const steps = 5
	if n := len((&succession{}).steps()); n != steps {
		t.Fatalf("%d steps: this test knows of %d", n, steps)
	}
	for crash := range steps + 1 {
		for name, open := range map[string]func(home string) error{
			"node":   func(home string) error { runUntilBlock(t, home, 1); return nil },
			"read":   func(home string) error { return readAtRest(ctx, home) },
			"backup": func(home string) error { return Backup(ctx, home, new(bytes.Buffer), BackupOptions{}) },
		} {
			if name == "node" && crash%2 == 0 && testing.Short() {
				continue
			}
			t.Run(fmt.Sprintf("%d steps, then %s", crash, name), func(t *testing.T) {
				t.Parallel()
				home := copyHome(t, original)
				err := withLedger(ctx, home, func(_ HomeInfo, r *replica.Rest) error { return prepareSuccession(home, r, plan, opts.Agreed) })
				if err != nil {
					t.Fatal(err)
				}
				if crash == 0 { // and not even that is whole
					if err := os.RemoveAll(filepath.Join(nextLedgerDir(home, plan.Genesis), "state")); err != nil {
						t.Fatal(err)
					}
				}
				for _, step := range (&succession{home, plan.Genesis}).steps()[:crash] {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				if err := open(home); err != nil {
					t.Fatal(err)
				}
				wantEither(t, home, before, plan.Genesis, crash >= 2)
				if name == "node" && crash < 2 {
					return // the old ledger went on, and what was agreed on is another one
				}
				if done, err := Recover(ctx, home, opts); err != nil || !done.Done {
					t.Fatalf("%+v, %v", done, err)
				}
				wantEither(t, home, before, plan.Genesis, true)
			})
		}
	}
}

// readAtRest opens the ledger of a home. A successor that has not run yet has no chain.
func readAtRest(ctx context.Context, home string) error {
	_, err := ReadLedger(ctx, home)
	if info, homeErr := ReadHome(home); homeErr == nil && info.Genesis.Predecessor != nil && fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// wantEither checks that a home is wholly one of the successor, or of the predecessor as it was.
func wantEither(t *testing.T, home string, before LedgerAtRest, successor *ledger.Genesis, moved bool) {
	t.Helper()
	info, err := ReadHome(home)
	if err != nil {
		t.Fatal(err)
	}
	want, chain := before.Genesis, chainID(before.Genesis)
	if moved {
		want, chain = successor, chainID(successor)
	}
	if info.Genesis.ID() != want.ID() {
		t.Fatalf("the ledger is %s, want %s", info.Genesis.ID(), want.ID())
	}
	if s, err := signer.Open(filepath.Join(home, validatorDir), chain); err != nil || ledger.PublicKey(s.PublicKey()) != *before.Own {
		t.Errorf("another key, or for another chain: %v", err)
	}
	if exists, err := isThere(filepath.Join(home, ledgerDir, "state")); err != nil || !exists {
		t.Errorf("there is no state: %v", err)
	}
	old := filepath.Join(home, predecessorsDir, before.Genesis.ID().String())
	if exists, err := isThere(old); err != nil || exists != moved {
		t.Errorf("the predecessor's data are there: %v, %v", exists, err)
	}
	if !moved {
		if l, err := ReadLedger(t.Context(), home); err != nil || l.Last.Height < before.Last.Height {
			t.Errorf("the last block is %d, %v; want %d", l.Last.Height, err, before.Last.Height)
		}
	}
	if moved {
		if exists, err := isThere(nextLedgerDir(home, successor)); err != nil || exists {
			t.Errorf("what was prepared is still there: %v", err)
		}
		r, err := replica.OpenRest(t.Context(), old, before.Genesis, nil)
		if err != nil {
			t.Fatal(err)
		}
		if last, err := r.Last(); err != nil || last != before.Last {
			t.Errorf("the predecessor's last block is %+v, %v; want %+v", last, err, before.Last)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRecoverKeepsTheLock: nobody opens a home between two steps of a succession.
func TestRecoverKeepsTheLock(t *testing.T) {
	t.Parallel()
	home, own := foundedHome(t)
	plan, err := Recover(t.Context(), home, RecoverOptions{Keep: []ledger.PublicKey{own}})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	opened := make(chan error, 1)
	go func() { // opens it as often as it can, and must find the one ledger or the other
		var last error
		for {
			select {
			case <-stop:
				opened <- last
				return
			default:
			}
			if err := readAtRest(t.Context(), home); err != nil && fault.KindOf(err) != fault.Conflict {
				last = err
			}
		}
	}()
	for {
		done, err := Recover(t.Context(), home, RecoverOptions{Keep: []ledger.PublicKey{own}, Agreed: plan.Genesis.ID()})
		if fault.KindOf(err) == fault.Conflict {
			continue // the other one has it
		}
		if err != nil || !done.Done {
			t.Fatalf("%+v, %v", done, err)
		}
		break
	}
	close(stop)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
