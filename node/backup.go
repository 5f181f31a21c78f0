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
	"time"

	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/records"
)

// BackupOptions are the options of Backup.
type BackupOptions struct {
	// Passphrase encrypts the identity's key; without one the key is not in the backup.
	Passphrase string
	// Work is the cost of the passphrase; 0 means backup.DefaultWork. Tests take less.
	Work int
	// Program is the version of the program, for the backup's header.
	Program string
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
	store, err := records.OpenArchive(filepath.Join(home, recordsDir), info.NetworkID, nil)
	if err != nil {
		return fmt.Errorf("open the record store: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	identity, err := SealedIdentity(home, opts)
	if err != nil {
		return err
	}
	return writeBackup(ctx, home, info, w, identity, opts.Program, store.Export)
}

// SealedIdentity returns the encrypted key of the identity of home, nil when there is no passphrase.
func SealedIdentity(home string, opts BackupOptions) ([]byte, error) {
	if opts.Passphrase == "" {
		return nil, nil
	}
	key, err := os.ReadFile(filepath.Join(home, identityFile))
	if err != nil {
		return nil, fmt.Errorf("read the identity: %w", err)
	}
	work := opts.Work
	if work == 0 {
		work = backup.DefaultWork
	}
	return backup.Seal(key, opts.Passphrase, work)
}

func writeBackup(ctx context.Context, home string, info HomeInfo, w io.Writer, identity []byte, program string, export func(context.Context, func([]byte) error) error) error {
	b, err := backup.NewWriter(w, backup.Header{Network: info.NetworkID.String(), Peer: info.ID.String(), Taken: time.Now(), Program: program})
	if err != nil {
		return err
	}
	for _, name := range []string{networkFile, peersFile} {
		content, err := os.ReadFile(filepath.Join(home, name))
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
	if identity != nil {
		if err := b.File(backup.IdentityFile, identity); err != nil {
			return err
		}
	}
	if err := export(ctx, b.Record); err != nil {
		return err
	}
	return b.Close()
}

// AddIdentity copies a backup of the node of home and adds the encrypted key to it.
func AddIdentity(w io.Writer, r io.Reader, identity []byte) error {
	var b *backup.Writer
	added := false
	add := func() error {
		if added {
			return nil
		}
		added = true
		return b.File(backup.IdentityFile, identity)
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
	})
	if err != nil {
		return err
	}
	return errors.Join(add(), b.Close())
}

// Backup writes a backup of the running node, without its identity's key, to w.
func (b backend) Backup(ctx context.Context, w io.Writer) error {
	n := b.n
	return writeBackup(ctx, n.cfg.Home, n.home, w, nil, n.cfg.Version, n.store.Export)
}

// RestoreOptions are the options of Restore.
type RestoreOptions struct {
	// Passphrase returns the passphrase of the identity's key, empty when there is none. It is called when the backup has a key; nil is no passphrase.
	Passphrase func() (string, error)
	// NewIdentity makes a new identity though the backup has a key.
	NewIdentity bool
}

// Restored says what Restore did.
type Restored struct {
	Manifest backup.Manifest
	Home     HomeInfo
	// SameIdentity says that the node has the identity of the one that was backed up.
	SameIdentity bool
}

// Restore makes home, which must be missing or empty, the node that a backup is of. The home appears once everything in the backup was checked: sums, form, and the signature of
// every record. It is fault.Conflict when home is there and not empty, fault.Invalid when the backup is damaged, and fault.Forbidden when the passphrase is wrong or missing.
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
	done.SameIdentity = done.Home.ID.String() == done.Manifest.Peer
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
	store  *records.Archive
}

func (r *restoring) read(in io.Reader) (backup.Manifest, error) {
	m, err := backup.Read(in, backup.Taker{
		Header:  func(h backup.Header) error { r.header = h; return nil },
		File:    r.file,
		Records: func(envelopes [][]byte) error { return r.store.Import(r.ctx, envelopes) },
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
	return r.identity(content)
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
	r.store, err = records.OpenArchive(filepath.Join(r.home, recordsDir), info.NetworkID, nil)
	return err
}

func (r *restoring) identity(sealed []byte) error {
	if r.opts.NewIdentity {
		return nil
	}
	passphrase := ""
	if r.opts.Passphrase != nil {
		var err error
		if passphrase, err = r.opts.Passphrase(); err != nil {
			return err
		}
	}
	if passphrase == "" {
		return fault.New(fault.Forbidden, "the backup holds the identity's key: its passphrase is needed")
	}
	key, err := backup.Unseal(sealed, passphrase)
	if err != nil {
		return err
	}
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
