package accounts

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/internal/privatefile"
	"github.com/folkmoot/folkmoot/ledger"
)

// What the names of files end with: of a key, of one under a passphrase, and of the public part of that, which is needed without the passphrase.
const (
	keySuffix    = ".key"
	sealedSuffix = ".key.age"
	publicSuffix = ".pub"
)

// Folder is the folder of somebody's keys and address book. It need not exist before something is put there.
type Folder string

// Own is an account of which the key is here.
type Own struct {
	Name   string
	Key    ledger.PublicKey
	Sealed bool // under a passphrase
}

// ID returns the account's id.
func (o *Own) ID() ledger.AccountID { return ID(o.Key) }

func (f Folder) path(name, suffix string) string { return filepath.Join(string(f), name+suffix) }

// Create makes a key. seal encrypts its file; nil leaves it as it is. It is fault.Conflict when the name is taken: nothing is ever overwritten.
func (f Folder) Create(name string, seal func([]byte) ([]byte, error)) (Own, error) {
	if err := f.free(name); err != nil {
		return Own{}, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Own{}, fmt.Errorf("make a key: %w", err)
	}
	data, err := EncodeKey(key)
	suffix := keySuffix
	if err == nil && seal != nil {
		suffix = sealedSuffix
		data, err = seal(data)
	}
	if err != nil {
		return Own{}, err
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return Own{}, err
	}
	if err := atomicfile.Create(f.path(name, suffix), data, 0o600); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return Own{}, errTaken(name)
		}
		return Own{}, fmt.Errorf("write the key: %w", err)
	}
	own := Own{name, PublicKey(key), seal != nil}
	if !own.Sealed {
		return own, nil
	}
	return own, f.writePublic(name, own.Key)
}

func errTaken(name string) error {
	return fault.New(fault.Conflict, "the name %s is taken", name)
}

// free returns an error when a name is no name, or taken by a key or in the address book.
func (f Folder) free(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	for _, suffix := range []string{keySuffix, sealedSuffix} {
		if _, err := os.Lstat(f.path(name, suffix)); err == nil {
			return errTaken(name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	book, err := f.Book()
	if err == nil && book[name] != "" {
		err = errTaken(name)
	}
	return err
}

func (f Folder) writePublic(name string, key ledger.PublicKey) error {
	if err := atomicfile.Write(f.path(name, publicSuffix), []byte(key.String()+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the public key: %w", err)
	}
	return nil
}

// Own returns the account with the key of that name. It is fault.NotFound when there is none.
func (f Folder) Own(name string) (Own, error) {
	if err := CheckName(name); err != nil {
		return Own{}, err
	}
	sealed, err := f.sealed(name)
	if err != nil {
		return Own{}, err
	}
	if !sealed {
		key, err := f.read(name, nil)
		if err != nil {
			return Own{}, err
		}
		return Own{name, PublicKey(key), false}, nil
	}
	public, err := f.readPublic(name)
	return Own{name, public, true}, err
}

// sealed tells whether a key is under a passphrase.
func (f Folder) sealed(name string) (bool, error) {
	_, plain := os.Stat(f.path(name, keySuffix))
	_, sealed := os.Stat(f.path(name, sealedSuffix))
	switch {
	case plain == nil && sealed == nil:
		return false, fault.New(fault.Conflict, "%s and %s are both there: move one of them away", f.path(name, keySuffix), f.path(name, sealedSuffix))
	case plain == nil || sealed == nil:
		return sealed == nil, nil
	case errors.Is(plain, fs.ErrNotExist) && errors.Is(sealed, fs.ErrNotExist):
		return false, fault.New(fault.NotFound, "there is no key %s in %s", name, string(f))
	}
	return false, errors.Join(plain, sealed)
}

func (f Folder) readPublic(name string) (key ledger.PublicKey, err error) {
	path := f.path(name, publicSuffix)
	data, err := readSmall(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return key, fault.New(fault.NotFound, "%s is missing: the key %s is under a passphrase, and opening it writes that file anew", path, name)
	}
	if err != nil {
		return key, err
	}
	if err := key.UnmarshalText(bytes.TrimSpace(data)); err != nil {
		return key, fault.New(fault.Invalid, "%s: %w", path, err)
	}
	return key, nil
}

// Open returns the private key of that name. unseal decrypts one that is under a passphrase.
func (f Folder) Open(name string, unseal func([]byte) ([]byte, error)) (ed25519.PrivateKey, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	sealed, err := f.sealed(name)
	if err != nil {
		return nil, err
	}
	if !sealed {
		return f.read(name, nil)
	}
	key, err := f.read(name, unseal)
	if err != nil {
		return nil, err
	}
	public, err := f.readPublic(name)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return key, f.writePublic(name, PublicKey(key))
	case err == nil && public != PublicKey(key):
		err = fault.New(fault.Conflict, "%s is not the public part of the key %s: move it away", f.path(name, publicSuffix), name)
	}
	return key, err
}

// read reads a key's file, which unseal decrypts unless it is nil.
func (f Folder) read(name string, unseal func([]byte) ([]byte, error)) (ed25519.PrivateKey, error) {
	if unseal != nil {
		return readKey(f.path(name, sealedSuffix), unseal)
	}
	return readKey(f.path(name, keySuffix), nil)
}

// OpenFile returns the private key in a file anywhere, which unseal decrypts if the file's name says that it is under a passphrase. Errors are of kind fault.Invalid for what is no key.
func OpenFile(path string, unseal func([]byte) ([]byte, error)) (ed25519.PrivateKey, error) {
	if !strings.HasSuffix(path, sealedSuffix) {
		unseal = nil
	}
	return readKey(path, unseal)
}

func readKey(path string, unseal func([]byte) ([]byte, error)) (ed25519.PrivateKey, error) {
	data, err := privatefile.Read(path, maxKeyFile)
	if err == nil && unseal != nil {
		data, err = unseal(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	key, err := ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	return key, nil
}

// List returns the accounts of which the keys are here, in the order of their names. A key that can't be read is an error: what is left out would be missed only when it is needed.
func (f Folder) List() ([]Own, error) {
	names, err := f.Names()
	if err != nil {
		return nil, err
	}
	list := make([]Own, 0, len(names))
	for _, name := range names {
		own, err := f.Own(name)
		if err != nil {
			return nil, err
		}
		list = append(list, own)
	}
	return list, nil
}

// Names returns the names of the keys, in order.
func (f Folder) Names() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), sealedSuffix)
		if !ok {
			name, ok = strings.CutSuffix(e.Name(), keySuffix)
		}
		if ok && CheckName(name) == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
