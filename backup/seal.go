package backup

import (
	"bytes"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/folkmoot/folkmoot/fault"
)

// DefaultWork is the cost of a passphrase: 2 to that power rounds of scrypt, about a second.
const DefaultWork = 18

// maxWork bounds the cost that a file may ask for: about 16 seconds.
const maxWork = 22

// Seal encrypts content with a passphrase. work is DefaultWork, less in tests.
func Seal(content []byte, passphrase string, work int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fault.New(fault.Invalid, "encrypt the key: %w", err)
	}
	recipient.SetWorkFactor(work)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt the key: %w", err)
	}
	return sealed.Bytes(), nil
}

// Unseal decrypts what Seal made. It is fault.Forbidden when the passphrase is another one, and fault.Invalid when what is sealed is damaged or larger than anything in a backup.
func Unseal(sealed []byte, passphrase string) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fault.New(fault.Invalid, "decrypt the key: %w", err)
	}
	identity.SetMaxWorkFactor(maxWork)
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, fault.New(fault.Forbidden, "decrypt the key: %w; is it the right passphrase?", err)
	}
	content, err := io.ReadAll(io.LimitReader(r, maxKeys+1))
	if err != nil {
		return nil, damaged("what is encrypted: %w", err)
	}
	if len(content) > maxKeys {
		return nil, damaged("what is encrypted has more than %d bytes", maxKeys)
	}
	return content, nil
}
