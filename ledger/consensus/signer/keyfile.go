package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
)

const (
	// maxFile is the size limit of a key and of a state file, in bytes; they have about 300 and 1,000.
	maxFile = 8 << 10
	// keyComment opens a key file; the public key follows.
	keyComment = "# Private key of a Folkmoot validator: whoever has it votes in its name. Keep it secret, and never use it in two places.\n# Public key: "
	// pemType is the type of a PKCS #8 key in PEM (RFC 7468, section 10).
	pemType = "PRIVATE KEY"
)

var errKeyDamaged = errors.New("it is damaged or not a validator's key; restore it from a backup")

// encodeKey returns the contents of a key file.
func encodeKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	head := []byte(keyComment + hex.EncodeToString(publicOf(key)) + "\n")
	return append(head, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})...), nil
}

// decodeKey is the inverse of encodeKey. The public key and the one form that is accepted reveal any damage; errors never quote the key.
func decodeKey(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errKeyDamaged
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errKeyDamaged
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errKeyDamaged
	}
	if again, err := encodeKey(key); err != nil || !bytes.Equal(again, data) {
		return nil, errKeyDamaged
	}
	return key, nil
}

func publicOf(key ed25519.PrivateKey) []byte { return key[ed25519.SeedSize:] }
