package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/folkmoot/folkmoot/backup"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/ledger/consensus/signer"
)

// SealedKeys are the keys of a home, encrypted: its identity's, and the rest as backup.Keys has it. nil: not in the backup.
type SealedKeys struct{ identity, rest []byte }

// SealKeys returns the encrypted keys of the home of a node that runs; none when there is no passphrase.
func SealKeys(home string, opts BackupOptions) (SealedKeys, error) {
	return sealKeys(home, opts, false)
}

func sealKeys(home string, opts BackupOptions, stopped bool) (s SealedKeys, err error) {
	if opts.Passphrase == "" {
		return s, nil
	}
	work := opts.Work
	if work == 0 {
		work = backup.DefaultWork
	}
	identity, err := os.ReadFile(filepath.Join(home, identityFile))
	if err != nil {
		return s, fmt.Errorf("read the identity: %w", err)
	}
	if s.identity, err = backup.Seal(identity, opts.Passphrase, work); err != nil {
		return s, err
	}
	keys, err := readKeys(home, stopped)
	if err != nil || keys == nil {
		return s, err
	}
	s.rest, err = backup.Seal(keys, opts.Passphrase, work)
	return s, err
}

// readKeys returns the document with the validator's key and those of accounts, nil where there is none of either.
func readKeys(home string, stopped bool) ([]byte, error) {
	var keys backup.Keys
	c, err := signer.Take(filepath.Join(home, validatorDir), stopped)
	switch {
	case err == nil:
		v := backup.Validator(*c)
		keys.Validator = &v
	case fault.KindOf(err) != fault.NotFound:
		return nil, err
	}
	if keys.Accounts, err = readAccounts(filepath.Join(home, AccountsDir)); err != nil {
		return nil, err
	}
	if keys.Validator == nil && len(keys.Accounts) == 0 {
		return nil, nil
	}
	return keys.Encode()
}

// readAccounts returns the files of the folder of accounts.
func readAccounts(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && name[0] != '.' {
			if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("read the accounts: %w", err)
			}
		}
	}
	return files, nil
}

// add writes the keys to a backup.
func (s *SealedKeys) add(b *backup.Writer) error {
	if s.identity != nil {
		if err := b.File(backup.IdentityFile, s.identity); err != nil {
			return err
		}
	}
	if s.rest != nil {
		return b.File(backup.KeysFile, s.rest)
	}
	return nil
}

// keys writes the keys but for the identity's. The validator's is barred: what it signed since the backup is not known.
func (r *restoring) keys(document []byte) error {
	keys, err := backup.ParseKeys(document)
	if err != nil {
		return err
	}
	if keys.Validator != nil && r.info.Genesis != nil {
		c := signer.Copy(*keys.Validator)
		if err := signer.Restore(filepath.Join(r.home, validatorDir), chainID(r.info.Genesis), &c, r.header.Taken); err != nil {
			return err
		}
		r.validator = true
	}
	dir := filepath.Join(r.home, AccountsDir)
	if len(keys.Accounts) > 0 {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the folder of accounts: %w", err)
		}
	}
	for name, content := range keys.Accounts {
		if err := atomicfile.Write(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write the accounts: %w", err)
		}
		r.accounts++
	}
	return nil
}
