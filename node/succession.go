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
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	if err := r.Succeed(next, done.Genesis); err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	return nil
}

// finishSuccession puts the data of a successor in their place, and keeps those of its predecessor. Each step is done once, however often it is called.
func finishSuccession(home string, g *ledger.Genesis) error {
	present, next := filepath.Join(home, ledgerDir), nextLedgerDir(home, g)
	if exists, err := isThere(next); err != nil || !exists {
		return err
	}
	old := filepath.Join(home, predecessorsDir, g.Predecessor.Genesis.ID().String())
	if exists, err := isThere(old); err != nil {
		return err
	} else if !exists {
		if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
			return fmt.Errorf("make the folder of predecessors: %w", err)
		}
		if err := os.Rename(present, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put the predecessor's ledger aside: %w", err)
		}
	}
	err := signer.Move(filepath.Join(home, validatorDir), chainID(g.Predecessor.Genesis), chainID(g))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err := os.Rename(next, present); err != nil {
		return fmt.Errorf("put the ledger in its place: %w", err)
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

// checkHalf refuses a home in which a succession, or an entry into a successor, was broken off.
func checkHalf(home string, g *ledger.Genesis) error {
	if g.Predecessor == nil {
		return nil
	}
	half, err := isThere(nextLedgerDir(home, g))
	if err == nil && half {
		err = fault.New(fault.Conflict, `home %s was half made one of the ledger %s: give "moot ledger recover found", or "moot init --state", once more`, home, g.ID())
	}
	return err
}

// checkLedger looks whether the ledger of the home may be opened, and removes what backups left.
func (n *Node) checkLedger() error {
	g := n.home.Genesis
	if err := checkHalf(n.cfg.Home, g); err != nil {
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
	r, err := replica.OpenRest(ctx, filepath.Join(home, predecessorsDir, old.ID().String()), old, nil)
	if err != nil {
		return err
	}
	return errors.Join(r.ExportState(w), r.Close())
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
	if err := os.RemoveAll(next); err != nil {
		return HomeInfo{}, fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	if err := replica.SucceedFrom(next, genesis, state); err != nil {
		return HomeInfo{}, errors.Join(err, os.RemoveAll(next))
	}
	info, err := JoinHome(home, genesis)
	if err != nil {
		return info, errors.Join(err, os.RemoveAll(next))
	}
	if err := os.Rename(next, filepath.Join(home, ledgerDir)); err != nil {
		return info, fmt.Errorf("put the ledger in its place: %w", err)
	}
	return info, nil
}
