package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/records"
)

// RestoreOptions are the options of Restore.
type RestoreOptions struct {
	// Passphrase returns the passphrase of the identity's key, empty when there is none. It is called when the backup has a key; nil is no passphrase.
	Passphrase func() (string, error)
	// NewIdentity makes a new identity though the backup has a key; then no other key is restored either.
	NewIdentity bool
}

// Restored says what Restore did.
type Restored struct {
	Manifest backup.Manifest
	Home     HomeInfo
	// SameIdentity says that the node has the identity of the one that was backed up.
	SameIdentity bool
	// Validator says that the node has the key that the other voted with; it does not vote with it before its owner vouches for it. See ResumeValidator.
	Validator bool
	// Accounts is how many files of accounts were restored.
	Accounts int
	// Height is that of the last block of the ledger in the backup; 0: it has none.
	Height int64
}

// Restore makes home, which must be missing or empty, the node that a backup is of. The home appears once everything in the backup was checked: sums, form, the signature of
// every record, and that the ledger's validators have signed its last block. It is fault.Conflict when home is there and not empty, fault.Invalid when the backup is damaged, and fault.Forbidden when the passphrase is wrong or missing.
func Restore(ctx context.Context, home string, r io.Reader, opts RestoreOptions) (done Restored, err error) {
	home, err = filepath.Abs(home)
	if err != nil {
		return done, fmt.Errorf("find the home: %w", err)
	}
	if err := checkEmpty(home); err != nil {
		return done, err
	}
	parent := filepath.Dir(home)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return done, fmt.Errorf("make the home's folder: %w", err)
	}
	temporary, err := os.MkdirTemp(parent, "."+filepath.Base(home)+"-restore-*")
	if err != nil {
		return done, fmt.Errorf("make a folder beside the home: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	res := &restoring{ctx: ctx, home: temporary, opts: opts}
	if done.Manifest, err = res.read(r); err != nil {
		return done, err
	}
	if done.Home, err = ReadHome(temporary); err != nil {
		return done, err
	}
	done.SameIdentity, done.Validator, done.Accounts = done.Home.ID.String() == done.Manifest.Peer, res.validator, res.accounts
	if done.Height, err = checkRestoredLedger(ctx, temporary, done.Home); err != nil {
		return done, err
	}
	return done, place(temporary, home)
}

func checkEmpty(home string) error {
	entries, err := os.ReadDir(home)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("look into the home: %w", err)
	}
	return fault.New(fault.Conflict, "home %s is not empty: give another --home", home)
}

// place gives a folder its name; where there is an empty one, it goes.
func place(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Conflict, "home %s is not empty any more: %w", to, err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("give the restored home its name: %w", err)
	}
	return nil
}

// restoring is a restore under way, into a folder that is no home yet.
type restoring struct {
	ctx    context.Context
	home   string
	opts   RestoreOptions
	header backup.Header
	info   HomeInfo
	store  *records.Archive

	passphrase string // once it was asked for
	validator  bool
	accounts   int
}

func (r *restoring) read(in io.Reader) (backup.Manifest, error) {
	m, err := backup.Read(in, backup.Taker{
		Header:  func(h backup.Header) error { r.header = h; return nil },
		File:    r.file,
		Records: func(envelopes [][]byte) error { return r.store.Import(r.ctx, envelopes) },
		Ledger:  r.ledger,
	})
	if err == nil && r.store != nil {
		err = r.store.Imported(r.ctx, r.header.Taken)
	}
	if r.store != nil {
		err = errors.Join(err, r.store.Close())
	}
	return m, err
}

func (r *restoring) file(name string, content []byte) error {
	switch name {
	case backup.NetworkFile:
		return r.network(content)
	case backup.PeersFile:
		return atomicfile.Write(filepath.Join(r.home, peersFile), content, 0o600)
	}
	if r.opts.NewIdentity {
		return nil
	}
	opened, err := r.unseal(content)
	if err != nil {
		return err
	}
	if name == backup.KeysFile {
		return r.keys(opened)
	}
	return r.identity(opened)
}

// network writes the network's document with a new identity, which the backup's may replace, and opens the store.
func (r *restoring) network(content []byte) error {
	var doc networkDocument
	if err := json.Unmarshal(content, &doc); err != nil || doc.ID != r.header.Network {
		return fault.New(fault.Invalid, "the backup is damaged: %s is not that of its network", networkFile)
	}
	if _, ok := doc.check(); !ok || doc.Format > homeFormat {
		return fault.New(fault.Invalid, "%s in the backup: format %d, network %s: a newer program wrote it, or it is damaged", networkFile, doc.Format, doc.ID)
	}
	info, err := initHome(r.home, doc)
	if err != nil {
		return err
	}
	r.info = info
	r.store, err = records.OpenArchive(filepath.Join(r.home, recordsDir), info.NetworkID, nil)
	return err
}

// unseal decrypts what is under the passphrase, for which is asked once.
func (r *restoring) unseal(sealed []byte) ([]byte, error) {
	if r.passphrase == "" && r.opts.Passphrase != nil {
		var err error
		if r.passphrase, err = r.opts.Passphrase(); err != nil {
			return nil, err
		}
	}
	if r.passphrase == "" {
		return nil, fault.New(fault.Forbidden, "the backup holds the identity's key: its passphrase is needed")
	}
	return backup.Unseal(sealed, r.passphrase)
}

func (r *restoring) identity(key []byte) error {
	path := filepath.Join(r.home, identityFile)
	if err := atomicfile.Write(path, key, 0o600); err != nil {
		return fmt.Errorf("write the identity: %w", err)
	}
	info, err := ReadHome(r.home)
	if err != nil {
		return err
	}
	if info.ID.String() != r.header.Peer {
		return fault.New(fault.Invalid, "the backup is damaged: its key is that of %s, not of %s", info.ID, r.header.Peer)
	}
	return nil
}
