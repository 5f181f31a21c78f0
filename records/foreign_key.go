package records

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// SignedNamespace is the namespace under which foreign peers read signed records: the record with key KEY is under "/moot/KEY".
	SignedNamespace = "moot"
	// publicKeyNamespace holds public keys under the hashes that are the peer ids (libp2p specs, kad-dht).
	publicKeyNamespace = "pk"
	// maxNamespace bounds the names of namespaces, in bytes.
	maxNamespace = 64

	// MaxForeignKey and MaxForeignValue bound the keys and values of foreign peers as they are on the wire, in bytes.
	MaxForeignKey   = disk.MaxForeignKey
	MaxForeignValue = disk.MaxForeignValue
)

// A foreignKey is a key of foreign Kademlia peers: "/namespace/rest" on the wire, where rest may be any bytes. Here it is written "kad/namespace/rest", each byte of
// rest as itself when it is printable ASCII other than '%', and as %XX otherwise, with capital hex digits: one spelling for each key.
type foreignKey struct {
	wire      []byte
	namespace string
	rest      []byte
}

// isForeign reports whether a key belongs to foreign peers.
func isForeign(text string) bool { return strings.HasPrefix(text, foreignPrefix) }

// parseForeignWire reads a key as it is on the wire.
func parseForeignWire(wire []byte) (foreignKey, error) {
	path, ok := bytes.CutPrefix(wire, []byte("/"))
	namespace, rest, cut := bytes.Cut(path, []byte("/"))
	switch {
	case len(wire) > MaxForeignKey:
		return foreignKey{}, fault.New(fault.TooLarge, "a foreign key of %d bytes: want at most %d", len(wire), MaxForeignKey)
	case !ok || !cut || !isNamespace(namespace) || len(rest) == 0:
		return foreignKey{}, fault.New(fault.Invalid, "foreign key %q: want /NAMESPACE/NAME", wire)
	}
	return foreignKey{wire, string(namespace), rest}, nil
}

// parseForeignText reads what text wrote.
func parseForeignText(text string) (foreignKey, error) {
	rest, ok := strings.CutPrefix(text, foreignPrefix)
	wire, decoded := percentDecode(rest)
	if !ok || !decoded {
		return foreignKey{}, fault.New(fault.Invalid, "key %q: want kad/NAMESPACE/NAME, with bytes that are not printable ASCII, and %%, as %%XX", text)
	}
	k, err := parseForeignWire(append([]byte("/"), wire...))
	switch {
	case err != nil:
		return foreignKey{}, fmt.Errorf("key %q: %w", text, err)
	case k.namespace == SignedNamespace:
		return foreignKey{}, fault.New(fault.Invalid, "key %q: foreign peers read signed records there; here they have their own key, %q", text, k.rest)
	case k.text() != text:
		return foreignKey{}, fault.New(fault.Invalid, "key %q: it is written %q", text, k.text())
	}
	return k, nil
}

func isNamespace(b []byte) bool {
	return len(b) > 0 && len(b) <= maxNamespace && !bytes.ContainsFunc(b, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-')
	})
}

// text returns the key as users of this network write it.
func (k *foreignKey) text() string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString(foreignPrefix + k.namespace + "/")
	for _, c := range k.rest {
		if '!' <= c && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

func percentDecode(s string) ([]byte, bool) {
	b := make([]byte, 0, len(s))
	for len(s) > 0 {
		if s[0] != '%' {
			b, s = append(b, s[0]), s[1:]
			continue
		}
		if len(s) < 3 {
			return nil, false
		}
		c, err := hex.DecodeString(s[1:3])
		if err != nil {
			return nil, false
		}
		b, s = append(b, c...), s[3:]
	}
	return b, true
}

// check says whether foreign peers may put value under the key. Most namespaces mean nothing to this network: it can't tell a good value from a bad one.
func (k *foreignKey) check(value []byte) error {
	switch {
	case k.namespace == SignedNamespace:
		return fault.New(fault.Forbidden, "foreign key %q: signed records are written by members alone", k.wire)
	case len(value) > MaxForeignValue:
		return fault.New(fault.TooLarge, "a foreign value of %d bytes: want at most %d", len(value), MaxForeignValue)
	case k.namespace == publicKeyNamespace:
		public, err := crypto.UnmarshalPublicKey(value)
		if err != nil {
			return fault.New(fault.Invalid, "foreign key %q: the value is no public key: %w", k.wire, err)
		}
		if !peer.ID(k.rest).MatchesPublicKey(public) {
			return fault.New(fault.Invalid, "foreign key %q: the value is another peer's public key", k.wire)
		}
	}
	return nil
}
