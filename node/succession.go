package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// predecessorsDir holds the data of the ledgers that the present one goes on from, each in a folder named after the ledger's id.
const predecessorsDir = "predecessors"

// nextLedgerDir is the folder in which the data of a successor are made.
func nextLedgerDir(home string, g *ledger.Genesis) string {
	return filepath.Join(home, ledgerDir+"-"+g.ID().String())
}

// prepareSuccession makes the first state of a successor beside the ledger, which stays as it is.
func prepareSuccession(home string, r *replica.Rest, done Recovered, agreed ledger.Hash) error {
	if id := done.Genesis.ID(); id != agreed {
		return fault.New(fault.Conflict, "what was agreed on is the ledger %s, and this home, of block %d, with these validators makes it %s: compare the last block, its hash and the validators with the others; who lacks blocks imports them", agreed, done.Last.Height, id)
	}
	next := nextLedgerDir(home, done.Genesis)
	if err := removeAttempts(home); err != nil {
		return err
	}
	if err := r.Succeed(next, done.Genesis); err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	return nil
}

// removeAttempts removes first states of successors that were prepared, of which the home did not become one. The caller holds the home's lock.
func removeAttempts(home string) error {
	left, err := filepath.Glob(filepath.Join(home, ledgerDir+"-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	return nil
}

// succession makes a home one of a successor, whose first state was prepared. Each step may be done again, and after a crash between two the home is one of the predecessor, up to and with the first, or is made one of the successor
// by whoever opens it next: see finishSuccession.
type succession struct {
	home    string
	genesis *ledger.Genesis
}

func (s *succession) present() string { return filepath.Join(s.home, ledgerDir) }
func (s *succession) next() string    { return nextLedgerDir(s.home, s.genesis) }
func (s *succession) old() string {
	return filepath.Join(s.home, predecessorsDir, s.genesis.Predecessor.Genesis.ID().String())
}

// steps returns the steps in their order.
func (s *succession) steps() []func() error {
	return []func() error{s.sync, s.commit, s.putAside, s.moveKey, s.putInPlace}
}

// sync makes the first state last.
func (s *succession) sync() error {
	if err := atomicfile.SyncTree(s.next()); err != nil {
		return fmt.Errorf("write the successor's first state: %w", err)
	}
	return nil
}

// commit makes the home the successor's, though not all is in its place.
func (s *succession) commit() error {
	doc, err := foundedDocument(s.genesis)
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(s.home, networkFile), doc); err != nil {
		return fmt.Errorf("write the network's document: %w", err)
	}
	return nil
}

// putAside keeps the predecessor's data.
func (s *succession) putAside() error {
	if exists, err := isThere(s.old()); err != nil || exists {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.old()), 0o700); err != nil {
		return fmt.Errorf("make the folder of predecessors: %w", err)
	}
	if err := os.Rename(s.present(), s.old()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the predecessor's ledger aside: %w", err)
	}
	return errors.Join(atomicfile.SyncDir(filepath.Dir(s.old())), atomicfile.SyncDir(s.home))
}

// moveKey makes the validator's key one for the successor.
func (s *succession) moveKey() error {
	err := signer.Move(filepath.Join(s.home, validatorDir), chainID(s.genesis.Predecessor.Genesis), chainID(s.genesis))
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// putInPlace puts the successor's data where a node looks for them.
func (s *succession) putInPlace() error {
	if err := os.Rename(s.next(), s.present()); err != nil {
		return fmt.Errorf("put the ledger in its place: %w", err)
	}
	return atomicfile.SyncDir(s.home)
}

// finishSuccession does the steps that a crash left undone in a home that was made one of the ledger that a genesis begins, if there are any. The caller holds the home's lock.
func finishSuccession(home string, g *ledger.Genesis) error {
	if g == nil || g.Predecessor == nil {
		return nil
	}
	s := succession{home, g}
	if half, err := isThere(s.next()); err != nil || !half {
		return err
	}
	for _, step := range s.steps() {
		if err := step(); err != nil {
			return fmt.Errorf("go on with ledger %s, which home %s was being made one of: %w", g.ID(), home, err)
		}
	}
	return nil
}

func isThere(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// checkLedger looks whether the ledger of the home may be opened, and removes what backups left.
func (n *Node) checkLedger() error {
	g := n.home.Genesis
	if err := finishSuccession(n.cfg.Home, g); err != nil {
		return err
	}
	if g.Predecessor != nil {
		if exists, err := isThere(filepath.Join(n.cfg.Home, ledgerDir)); err != nil {
			return err
		} else if !exists {
			return fault.New(fault.NotFound, `the ledger goes on from another one, whose last state is not in home %s: give it with "moot init --genesis FILE --state FILE"`, n.cfg.Home)
		}
	}
	return removeCopies(n.cfg.Home)
}

// ExportState writes the last state of the ledger that the present one of a home goes on from to w: what others need to enter. It is fault.NotFound when there is none.
func ExportState(ctx context.Context, home string, w io.Writer) error {
	info, err := ReadHome(home)
	if err != nil {
		return err
	}
	if info.Genesis == nil || info.Genesis.Predecessor == nil {
		return fault.New(fault.NotFound, "the ledger of home %s goes on from no other: nobody needs a state to enter", home)
	}
	old := info.Genesis.Predecessor.Genesis
	exported := false
	err = withPredecessors(ctx, home, func() error {
		exported = true
		r, err := replica.OpenRest(ctx, filepath.Join(home, predecessorsDir, old.ID().String()), old, nil)
		if err != nil {
			return err
		}
		return errors.Join(r.ExportState(w), r.Close())
	})
	if err == nil && !exported {
		err = fault.New(fault.NotFound, "home %s does not have the ledger that its present one goes on from", home)
	}
	return err
}

// JoinSuccessor makes home a node of the network whose ledger began with the genesis of a successor, with the last state of the predecessor, which ExportState wrote. The errors are those of JoinHome; fault.Invalid also
// when the state is damaged or another one, and then there is no node.
func JoinSuccessor(home string, genesis *ledger.Genesis, state io.Reader) (HomeInfo, error) {
	if genesis.Predecessor == nil {
		return HomeInfo{}, fault.New(fault.Invalid, "the ledger goes on from none: leave the state out")
	}
	lock, err := lockHome(home)
	if err != nil {
		return HomeInfo{}, err
	}
	defer lock.Unlock()
	if exists, err := isThere(filepath.Join(home, ledgerDir)); err != nil {
		return HomeInfo{}, err
	} else if exists {
		return HomeInfo{}, fault.New(fault.Conflict, "home %s has a ledger already", home)
	}
	next := nextLedgerDir(home, genesis)
	if err := removeAttempts(home); err != nil {
		return HomeInfo{}, err
	}
	if err := replica.SucceedFrom(next, genesis, state); err != nil {
		return HomeInfo{}, errors.Join(err, os.RemoveAll(next))
	}
	if err := atomicfile.SyncTree(next); err != nil {
		return HomeInfo{}, fmt.Errorf("write the successor's first state: %w", err)
	}
	info, err := JoinHome(home, genesis)
	if err != nil {
		return info, errors.Join(err, os.RemoveAll(next))
	}
	return info, finishSuccession(home, genesis)
}
