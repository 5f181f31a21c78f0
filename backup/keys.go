package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// Bounds of Keys.
const (
	maxAccountFiles = 20_000
	maxAccountFile  = 1 << 20
)

// keysFormat is the version of the document that holds Keys.
const keysFormat = 1

// Keys are the keys of a node but for its identity's, as keys.age holds them: a JSON document, encrypted with the passphrase.
type Keys struct {
	Format int `json:"format"`
	// Validator is the key that the node votes with and what it had signed, nil when there is none.
	Validator *Validator `json:"validator,omitempty"`
	// Accounts has the files of the folder of accounts by their names: keys, and the address book.
	Accounts map[string][]byte `json:"accounts,omitempty"`
}

// Validator is the key that a node votes with.
type Validator struct {
	Key   []byte `json:"key"`   // the file of the key
	State []byte `json:"state"` // the file that says what it signed last
	// Stopped says that the node did not run when the backup was taken, so that State was the last word then.
	Stopped bool `json:"stopped"`
}

// Encode returns the document.
func (k *Keys) Encode() ([]byte, error) {
	k.Format = keysFormat
	if err := k.validate(); err != nil {
		return nil, err
	}
	return json.Marshal(k)
}

// ParseKeys reads what Encode wrote. An error is fault.Invalid.
func ParseKeys(data []byte) (*Keys, error) {
	k := new(Keys)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(k); err != nil {
		return nil, damaged("%s: %w", KeysFile, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, damaged("something follows in %s", KeysFile)
	}
	if k.Format != keysFormat {
		return nil, fault.New(fault.Invalid, "%s is in format %d: this program reads format %d", KeysFile, k.Format, keysFormat)
	}
	return k, k.validate()
}

func (k *Keys) validate() error {
	if len(k.Accounts) > maxAccountFiles {
		return fault.New(fault.TooLarge, "%d files of accounts: at most %d fit a backup", len(k.Accounts), maxAccountFiles)
	}
	for name, content := range k.Accounts {
		if name == "" || len(name) > 255 || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
			return fault.New(fault.Invalid, "%q is no name of a file of accounts", name)
		}
		if len(content) > maxAccountFile {
			return fault.New(fault.TooLarge, "%s has %d bytes: at most %d fit a backup", name, len(content), maxAccountFile)
		}
	}
	return nil
}
