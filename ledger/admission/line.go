package admission

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// Bounds of a Line.
const (
	// MaxLineAddrs is the most addresses of a line, and maxLineAddr the most bytes of one.
	MaxLineAddrs = 16
	maxLineAddr  = 256
	// MaxLine is the most characters of a line.
	MaxLine = 8 << 10
	// secretSize is the size of a secret, which nobody can guess.
	secretSize = 32
	// checksumSize is that of the end of a line, which finds what was mistyped or cut off.
	checksumSize = 4
)

const (
	linePrefix     = "moot-invite-1."
	lineVersion    = 1
	domainKey      = "folkmoot/invite-key/1"
	domainChecksum = "folkmoot/invite-line/1"
	domainShared   = "folkmoot/invite-shared/1"
)

// Role is what a peer is to be that an invite admits.
type Role uint8

// The roles.
const (
	// RoleMember keeps records and the ledger.
	RoleMember Role = iota
	// RoleValidator makes a validator's key besides, so that it can be voted in.
	RoleValidator

	numRoles
)

var roleNames = [numRoles]string{RoleMember: "member", RoleValidator: "validator-candidate"}

// String returns the role's name.
func (r Role) String() string {
	if r < numRoles {
		return roleNames[r]
	}
	return "unknown role"
}

// RoleNames returns the names of all roles.
func RoleNames() []string { return roleNames[:] }

// ParseRole is the inverse of String. An error is of kind fault.Invalid.
func ParseRole(name string) (Role, error) {
	for r, n := range roleNames {
		if n == name {
			return Role(r), nil
		}
	}
	return 0, fault.New(fault.Invalid, "%q is no role: want %s", name, strings.Join(RoleNames(), " or "))
}

// Secret is what an invite's key is derived from.
type Secret [secretSize]byte

// NewSecret returns one that was never used.
func NewSecret() (s Secret, err error) {
	if _, err = rand.Read(s[:]); err != nil {
		err = fmt.Errorf("make a secret: %w", err)
	}
	return s, err
}

// SecretOf returns the secret of an invite that is not sent in a line: of all who have one text of 32 bytes or more that nobody can guess, such as the pods of a release.
func SecretOf(text []byte) Secret {
	return sha256.Sum256(append([]byte(domainShared), text...))
}

// Key returns the key of the invite to a network. Its account is the invite on the ledger.
func (s Secret) Key(network ledger.Hash) ed25519.PrivateKey {
	h := sha256.New()
	h.Write([]byte(domainKey))
	h.Write(network[:])
	h.Write(s[:])
	return ed25519.NewKeyFromSeed(h.Sum(nil))
}

// KeySetOf returns the first keys of the account that a key speaks for alone.
func KeySetOf(key ed25519.PrivateKey) ledger.KeySet {
	return ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
}

// Line is what one person sends to another. Whoever has it can become a member, as often as the invite allows.
type Line struct {
	// Network is the hash of the network's genesis.
	Network ledger.Hash
	Secret  Secret
	Role    Role
	// Addrs are where members are reached, 1 to MaxLineAddrs, each ending in /p2p/ID.
	Addrs []ma.Multiaddr
}

// String returns the one line of text, without spaces: a prefix, and in base64 version, role, network[32], secret[32], count uint8, addresses of uint16 length each, and a checksum.
func (l *Line) String() string {
	var b cryptobyte.Builder
	b.AddUint8(lineVersion)
	b.AddUint8(uint8(l.Role))
	b.AddBytes(l.Network[:])
	b.AddBytes(l.Secret[:])
	b.AddUint8(uint8(len(l.Addrs)))
	for _, a := range l.Addrs {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Bytes()) })
	}
	data := b.BytesOrPanic()
	return linePrefix + base64.RawURLEncoding.EncodeToString(append(data, checksum(data)...))
}

func checksum(data []byte) []byte {
	sum := sha256.Sum256(append([]byte(domainChecksum), data...))
	return sum[:checksumSize]
}

// ParseLine reads what String wrote; space around it does not matter. Errors are of kind fault.Invalid, and never quote the line, which is secret.
func ParseLine(text string) (*Line, error) {
	text = strings.TrimSpace(text)
	if len(text) > MaxLine {
		return nil, fault.New(fault.Invalid, "an invite of %d characters: at most %d", len(text), MaxLine)
	}
	encoded, ok := strings.CutPrefix(text, linePrefix)
	if !ok {
		return nil, fault.New(fault.Invalid, "this is no invite: one begins with %s, and is what \"moot invite\" prints", linePrefix)
	}
	damaged := fault.New(fault.Invalid, "the invite is damaged: a part of it is missing or mistyped; copy the whole line once more")
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(data) < checksumSize {
		return nil, damaged
	}
	body := data[:len(data)-checksumSize]
	if !bytes.Equal(checksum(body), data[len(body):]) {
		return nil, damaged
	}
	return parseLine(body)
}

func parseLine(body []byte) (*Line, error) {
	malformed := fault.New(fault.Invalid, "the invite can't be read: it is of a newer program, or made by hand")
	l := new(Line)
	var version, role, count uint8
	s := cryptobyte.String(body)
	if !s.ReadUint8(&version) || version != lineVersion || !s.ReadUint8(&role) || Role(role) >= numRoles || !s.CopyBytes(l.Network[:]) || !s.CopyBytes(l.Secret[:]) ||
		!s.ReadUint8(&count) || count == 0 || count > MaxLineAddrs {
		return nil, malformed
	}
	l.Role = Role(role)
	for range count {
		var raw cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&raw) || len(raw) > maxLineAddr {
			return nil, malformed
		}
		a, err := ma.NewMultiaddrBytes(bytes.Clone(raw))
		if err != nil || !bytes.Equal(a.Bytes(), raw) {
			return nil, malformed
		}
		if _, id := peer.SplitAddr(a); id == "" {
			return nil, malformed
		}
		l.Addrs = append(l.Addrs, a)
	}
	if !s.Empty() {
		return nil, malformed
	}
	return l, nil
}
