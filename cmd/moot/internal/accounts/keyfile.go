package accounts

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// pemType is that of a private key in PKCS #8 (RFC 7468, section 10).
	pemType = "PRIVATE KEY"
	// maxKeyFile is the most bytes of a file with a key, sealed or not.
	maxKeyFile = 8 << 10
)

// PublicKey returns the public part of a key.
func PublicKey(key ed25519.PrivateKey) ledger.PublicKey {
	return ledger.PublicKey(key.Public().(ed25519.PublicKey))
}

// KeySet returns the keys of the account that one key alone speaks for.
func KeySet(key ledger.PublicKey) ledger.KeySet {
	return ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{key}}
}

// ID returns the account that one key alone speaks for until other keys are put there.
func ID(key ledger.PublicKey) ledger.AccountID {
	set := KeySet(key)
	return set.ID()
}

// EncodeKey returns the file of a key: a comment that says whose it is, and the key in PKCS #8 as PEM.
func EncodeKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	comment := fmt.Sprintf("# The key of the ledger's account %s. Who has it speaks for the account.\n", ID(PublicKey(key)))
	return append([]byte(comment), pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})...), nil
}

// ParseKey reads the file of a key, which other programs may have written: lines that begin with #, and then one key in PKCS #8 as PEM. Errors are of kind fault.Invalid.
func ParseKey(data []byte) (ed25519.PrivateKey, error) {
	if len(data) > maxKeyFile {
		return nil, fault.New(fault.Invalid, "it is longer than the %d bytes of a key's file", maxKeyFile)
	}
	for bytes.HasPrefix(data, []byte("#")) {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemType || !bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		return nil, fault.New(fault.Invalid, "it has no %s in PEM", pemType)
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, fault.New(fault.Invalid, "something follows the key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Invalid, "its key can't be read: %w", err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "its key is not of Ed25519")
	}
	return key, nil
}
