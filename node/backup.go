package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/records"
)

// BackupOptions are the options of Backup.
type BackupOptions struct {
	// Passphrase encrypts the keys: of the identity, of the validator, of accounts. Without one they are not in the backup.
	Passphrase string
	// Work is the cost of the passphrase; 0 means backup.DefaultWork. Tests take less.
	Work int
	// Program is the version of the program, for the backup's header.
	Program string
	// NoLedger leaves the ledger out: a restored node fetches it from the others, if there are any.
	NoLedger bool
	// NoPredecessors leaves out the ledgers that the present one goes on from.
	NoPredecessors bool
}

// Backup writes a backup of the node of home, which must not run, to w. After an error w holds a part of one.
func Backup(ctx context.Context, home string, w io.Writer, opts BackupOptions) (err error) {
	info, err := ReadHome(home)
	if err != nil {
		return err
	}
	lock, err := lockHome(home)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := finishSuccession(home, info.Genesis); err != nil {
		return err
	}
	store, err := records.OpenArchive(filepath.Join(home, recordsDir), info.NetworkID, nil)
	if err != nil {
		return fmt.Errorf("open the record store: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	keys, err := sealKeys(home, opts, true)
	if err != nil {
		return err
	}
	s := saving{home: home, info: info, keys: keys, program: opts.Program, records: store.Export}
	if !opts.NoLedger {
		s.ledger, s.predecessors = filepath.Join(home, ledgerDir), !opts.NoPredecessors
	}
	return s.write(ctx, w)
}

// saving is what a backup is made of.
type saving struct {
	home    string
	info    HomeInfo
	keys    SealedKeys
	program string
	records func(context.Context, func([]byte) error) error
	// ledger is a folder with the ledger's files, which nobody changes; "": they are left out.
	ledger string
	// predecessors says that those which the ledger goes on from are saved, too.
	predecessors bool
}

func (s *saving) write(ctx context.Context, w io.Writer) error {
	b, err := backup.NewWriter(w, backup.Header{Network: s.info.NetworkID.String(), Peer: s.info.ID.String(), Taken: time.Now(), Program: s.program})
	if err != nil {
		return err
	}
	for _, name := range []string{networkFile, peersFile} {
		content, err := os.ReadFile(filepath.Join(s.home, name))
		if errors.Is(err, fs.ErrNotExist) && name == peersFile {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := b.File(name, content); err != nil {
			return err
		}
	}
	if err := s.keys.add(b); err != nil {
		return err
	}
	if err := s.records(ctx, b.Record); err != nil {
		return err
	}
	if s.ledger != "" {
		if err := saveLedger(ctx, b, s.ledger, ""); err != nil {
			return err
		}
	}
	if s.predecessors {
		if err := savePredecessors(ctx, b, s.home, s.info.Genesis); err != nil {
			return err
		}
	}
	return b.Close()
}

// AddKeys copies a backup of the node of home and adds the encrypted keys to it.
func AddKeys(w io.Writer, r io.Reader, keys SealedKeys) error {
	var b *backup.Writer
	added := false
	add := func() error {
		if added {
			return nil
		}
		added = true
		return keys.add(b)
	}
	_, err := backup.Read(r, backup.Taker{
		Header: func(h backup.Header) (err error) {
			b, err = backup.NewWriter(w, h)
			return err
		},
		File: func(name string, content []byte) error { return b.File(name, content) },
		Records: func(envelopes [][]byte) error {
			if err := add(); err != nil {
				return err
			}
			for _, e := range envelopes {
				if err := b.Record(e); err != nil {
					return err
				}
			}
			return nil
		},
		Ledger: func(name string, size int64, content io.Reader) error {
			if err := add(); err != nil {
				return err
			}
			return b.Ledger(name, size, content)
		},
	})
	if err != nil {
		return err
	}
	return errors.Join(add(), b.Close())
}

// Backup writes a backup of the running node, without its keys, to w.
func (b backend) Backup(ctx context.Context, w io.Writer, opts api.BackupOptions) (err error) {
	n := b.n
	s := saving{home: n.cfg.Home, info: n.home, program: n.cfg.Version, records: n.store.Export}
	if n.ledger != nil && !opts.NoLedger {
		if s.ledger, err = n.copyLedger(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.ledger)) }()
		s.predecessors = !opts.NoPredecessors
	}
	return s.write(ctx, w)
}
