package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

// copyPattern is the name of a folder in the ledger's that holds a copy of it while a backup is written.
const copyPattern = "backup-*"

// copyLedger makes a copy of the ledger of a running node, and returns its folder, which the caller removes. It shares files with the ledger: what is removed from that meanwhile stays on the disk for as long.
func (n *Node) copyLedger() (string, error) {
	dir, err := os.MkdirTemp(filepath.Join(n.cfg.Home, ledgerDir), copyPattern)
	if err != nil {
		return "", fmt.Errorf("copy the ledger: %w", err)
	}
	if err := n.ledger.Checkpoint(dir); err != nil {
		return "", errors.Join(fmt.Errorf("copy the ledger: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

// removeCopies removes what backups left that were cut off with the program.
func removeCopies(home string) error {
	left, err := filepath.Glob(filepath.Join(home, ledgerDir, copyPattern))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove what is left of a backup: %w", err)
		}
	}
	return nil
}

// saveLedger writes the files of a ledger to a backup, under names that begin with prefix. The log of consensus is among them only where the node had stopped: it belongs to the last thing that was signed.
func saveLedger(ctx context.Context, b *backup.Writer, dir, prefix string) error {
	for _, folder := range []string{"chain", "state", "wal"} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !e.Type().IsRegular() || e.Name() == "LOCK" { // of pebble, which makes it anew
				continue
			}
			if err := saveLedgerFile(b, dir, prefix, folder+"/"+e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func saveLedgerFile(b *backup.Writer, dir, prefix, name string) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	return b.Ledger(prefix+name, st.Size(), f)
}

// ledger writes a file of the ledger. Its name leads nowhere else: the backup's reader sees to that.
func (r *restoring) ledger(name string, _ int64, content io.Reader) error {
	if r.info.Genesis == nil {
		return fault.New(fault.Invalid, "the backup is damaged: it holds a ledger, which its network does not have")
	}
	path := filepath.Join(r.home, ledgerDir, filepath.FromSlash(name))
	if strings.HasPrefix(name, backup.PredecessorsName) {
		path = filepath.Join(r.home, filepath.FromSlash(name)) // predecessorsDir is called so, too
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the ledger's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return r.ctx.Err()
}

// checkRestoredLedger checks that the ledger of a restored home is that of its network, and so are those that it goes on from, and returns the height of its last block; 0 when there is none.
func checkRestoredLedger(ctx context.Context, home string, info HomeInfo) (int64, error) {
	if info.Genesis == nil {
		return 0, nil
	}
	if err := checkPredecessors(ctx, home, info.Genesis); err != nil {
		return 0, fault.As(fault.Invalid, fmt.Errorf("a predecessor in the backup: %w", err))
	}
	r, err := replica.OpenRest(ctx, filepath.Join(home, ledgerDir), info.Genesis, nil)
	if fault.KindOf(err) == fault.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, fault.As(fault.Invalid, fmt.Errorf("the ledger in the backup: %w", err))
	}
	err = r.Verify()
	if fault.KindOf(err) == fault.NotFound { // a node that never had all blocks: the others will tell
		err = nil
	}
	last, lastErr := r.Last()
	if err = errors.Join(err, lastErr, r.Close()); err != nil {
		return 0, fault.As(fault.Invalid, fmt.Errorf("the ledger in the backup: %w", err))
	}
	return last.Height, nil
}
