package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// predecessorsLock is the file in predecessorsDir by which one at a time reads the data there: opening them may change files.
const predecessorsLock = "lock"

// lockInterval is how often a lock is tried that somebody else has.
const lockInterval = 50 * time.Millisecond

// predecessor is a ledger that another one goes on from.
type predecessor struct {
	*ledger.Predecessor
	id  ledger.Hash
	dir string
}

// predecessorsOf lists the ledgers that one goes on from, of which home has data, in the order of their ids.
func predecessorsOf(home string, g *ledger.Genesis) (list []predecessor, err error) {
	for p := g.Predecessor; p != nil; p = p.Genesis.Predecessor {
		id := p.Genesis.ID()
		one := predecessor{p, id, filepath.Join(home, predecessorsDir, id.String())}
		if exists, err := isThere(one.dir); err != nil {
			return nil, err
		} else if exists {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b predecessor) int { return cmp.Compare(a.id.String(), b.id.String()) })
	return list, nil
}

// withPredecessors calls f while nobody else reads the data of predecessors of a home. It does nothing where there are none.
func withPredecessors(ctx context.Context, home string, f func() error) error {
	lock := flock.New(filepath.Join(home, predecessorsDir, predecessorsLock), flock.SetPermissions(0o600))
	_, err := lock.TryLockContext(ctx, lockInterval)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case ctx.Err() != nil:
		return fault.New(fault.Unavailable, "the data of the ledger's predecessors are in use: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("lock the ledger's predecessors: %w", err)
	}
	return errors.Join(f(), lock.Unlock())
}

// savePredecessors writes the ledgers that the present one goes on from to a backup.
func savePredecessors(ctx context.Context, b *backup.Writer, home string, g *ledger.Genesis) error {
	if g == nil {
		return nil
	}
	return withPredecessors(ctx, home, func() error {
		list, err := predecessorsOf(home, g)
		for _, p := range list {
			err = errors.Join(err, saveLedger(ctx, b, p.dir, backup.PredecessorsName+p.id.String()+"/"))
		}
		return err
	})
}

// checkPredecessors checks that what is in the folder of predecessors is theirs, up to the blocks from which others went on. It is fault.Invalid when it is not.
func checkPredecessors(ctx context.Context, home string, g *ledger.Genesis) error {
	list, err := predecessorsOf(home, g)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(home, predecessorsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) != len(list) {
		return fault.New(fault.Invalid, "%d folders, of which %d are of ledgers that this one goes on from", len(entries), len(list))
	}
	for _, p := range list {
		if err := p.check(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.id, err)
		}
	}
	return nil
}

// check checks that the data are those of the predecessor up to its last block.
func (p *predecessor) check(ctx context.Context) error {
	r, err := replica.OpenRest(ctx, p.dir, p.Genesis, nil)
	if err != nil {
		return err
	}
	err = r.Verify()
	if fault.KindOf(err) == fault.NotFound { // it never had all blocks
		err = nil
	}
	last, lastErr := r.Last()
	if err = errors.Join(err, lastErr, r.Close()); err != nil {
		return err
	}
	if last.Height != p.Height || last.Hash != p.Block {
		return fault.New(fault.Invalid, "its last block is %d:%s, and the one from which the next ledger goes on is %d:%s", last.Height, last.Hash, p.Height, p.Block)
	}
	return nil
}

// predecessorTransaction returns a transaction of a ledger that the present one goes on from. It is fault.NotFound only when the transaction certainly is in no block of that ledger; fault.Invalid when the ledger
// is no predecessor, and fault.Conflict when this node does not have all of it.
func (n *Node) predecessorTransaction(ctx context.Context, of ledger.Hash, id ledger.TransactionID) (t *ledger.Transaction, place replica.Place, err error) {
	p := n.home.Genesis.Ancestor(of)
	if p == nil {
		return nil, place, fault.New(fault.Invalid, "the ledger here, %s, does not go on from %s", n.home.Genesis.ID(), of)
	}
	lacking := fault.New(fault.Conflict, "this node does not have all of the ledger %s, which the present one goes on from, and can't tell whether transaction %s is in it: ask one that was a node of it", of, id)
	err = lacking
	lockErr := withPredecessors(ctx, n.cfg.Home, func() error {
		dir := filepath.Join(n.cfg.Home, predecessorsDir, of.String())
		exists, lookErr := isThere(dir)
		if lookErr != nil || !exists {
			return lookErr
		}
		t, place, err = replica.FindAtRest(dir, of, p.Height, id)
		return nil
	})
	if lockErr != nil {
		return nil, place, lockErr
	}
	if fault.KindOf(err) == fault.Conflict {
		err = lacking
	}
	return t, place, err
}
