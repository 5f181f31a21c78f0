package swarm

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/internal/privatefile"
)

const (
	// maxIdentityFile is the size limit of an identity file, in bytes; one has about 300.
	maxIdentityFile = 4 << 10
	// identityComment opens an identity file; the peer id follows.
	identityComment = "# Private key of a Folkmoot peer: whoever has it is this peer. Keep it secret.\n# Peer id: "
	// pemType is the type of a PKCS #8 key in PEM (RFC 7468, section 10).
	pemType = "PRIVATE KEY"
)

// errDamaged is an identity file that is not byte for byte what CreateIdentity writes.
var errDamaged = errors.New("it is damaged or not an identity file; restore it from a backup")

// CreateIdentity makes an identity key and writes it to a new file that only the owner may read. The file is there complete, and on
// disk, or not at all. An error is fault.Conflict when the file exists.
func CreateIdentity(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an identity key: %w", err)
	}
	data, err := encodeIdentity(key)
	if err != nil {
		return nil, fmt.Errorf("encode an identity key: %w", err)
	}
	err = atomicfile.Create(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.New(fault.Conflict, "create the identity %s: %w", path, fs.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("create the identity %s: %w", path, err)
	}
	return key, nil
}

// LoadIdentity reads a file that CreateIdentity wrote. An error is fault.NotFound when there is none, and fault.Invalid when it is damaged or others
// than its owner can read it. Its group may where the folder is the group's too: Kubernetes gives a pod's volumes to a group (fsGroup) with everything on them, at each start.
func LoadIdentity(path string) (crypto.PrivKey, error) {
	data, err := privatefile.Read(path, maxIdentityFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "load the identity %s: %w", path, fs.ErrNotExist)
	case errors.Is(err, privatefile.ErrTooLarge):
		err = errDamaged
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "load the identity %s: %w", path, err)
	}
	key, err := decodeIdentity(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "load the identity %s: %w", path, err)
	}
	return key, nil
}

// encodeIdentity returns the contents of an identity file.
func encodeIdentity(key crypto.PrivKey) ([]byte, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.PrivateKey(raw))
	if err != nil {
		return nil, err
	}
	head := []byte(identityComment + id.String() + "\n")
	return append(head, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})...), nil
}

// decodeIdentity is the inverse of encodeIdentity. The peer id and the one form that is accepted reveal any damage.
func decodeIdentity(data []byte) (crypto.PrivKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errDamaged
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errDamaged // the cause might quote the key
	}
	std, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errDamaged
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(std)
	if err != nil {
		return nil, errDamaged
	}
	if again, err := encodeIdentity(key); err != nil || !bytes.Equal(again, data) {
		return nil, errDamaged
	}
	return key, nil
}
