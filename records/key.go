package records

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// MaxKey is the length limit of keys, in bytes.
	MaxKey = 1 << 10
	// MaxValue is the length limit of values, in bytes.
	MaxValue = 1 << 20
)

// Prefixes of the keys that not everybody may write as they please.
const (
	ownPrefix     = "own/"
	contentPrefix = "sha256/"
	foreignPrefix = "kad/"
)

// A Key is a parsed key and knows who may write what under it.
type Key struct {
	text    string
	owner   peer.ID // of an own/ key
	content []byte  // digest of a sha256/ key
}

// ParseKey checks a key: 1 to MaxKey bytes of UTF-8 without control characters. Three prefixes have rules of their own:
//
//	own/<peer-id>/...  written by that peer alone
//	sha256/<hex>       its value has that SHA-256, 64 lower-case hex digits
//	kad/...            written by foreign Kademlia peers alone, unsigned, and read by Get: fault.Forbidden
//
// Other errors are of kind fault.Invalid or fault.TooLarge.
func ParseKey(s string) (Key, error) {
	if err := checkKeyText(s); err != nil {
		return Key{}, err
	}
	k := Key{text: s}
	switch {
	case strings.HasPrefix(s, ownPrefix):
		id, rest, ok := strings.Cut(s[len(ownPrefix):], "/")
		owner, err := peer.Decode(id)
		if err != nil || owner.String() != id {
			return Key{}, fault.New(fault.Invalid, "key %q: %q is not a peer id; want own/PEER-ID/NAME", s, id)
		}
		if !ok || rest == "" {
			return Key{}, fault.New(fault.Invalid, "key %q: no name after the peer id; want own/PEER-ID/NAME", s)
		}
		k.owner = owner
	case strings.HasPrefix(s, contentPrefix):
		digest, err := hex.DecodeString(s[len(contentPrefix):])
		if err != nil || len(digest) != sha256.Size || strings.ToLower(s) != s {
			return Key{}, fault.New(fault.Invalid, "key %q: want sha256/ and 64 lower-case hex digits, the SHA-256 of the value", s)
		}
		k.content = digest
	case strings.HasPrefix(s, foreignPrefix):
		return Key{}, fault.New(fault.Forbidden, "key %q: keys under kad/ are written by foreign Kademlia peers alone; members read them", s)
	}
	return k, nil
}

func checkKeyText(s string) error {
	switch {
	case s == "":
		return fault.New(fault.Invalid, "empty key: want 1 to %d bytes", MaxKey)
	case len(s) > MaxKey:
		return fault.New(fault.TooLarge, "key of %d bytes: want at most %d", len(s), MaxKey)
	case !utf8.ValidString(s):
		return fault.New(fault.Invalid, "key %q: not valid UTF-8", s)
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return fault.New(fault.Invalid, "key %q: control character at byte %d", s, i)
	}
	return nil
}

// String returns the key as it was written.
func (k Key) String() string { return k.text }

func (k Key) hash() [sha256.Size]byte { return sha256.Sum256([]byte(k.text)) }

// check says whether author may write value, or delete, under the key.
func (k Key) check(author peer.ID, value []byte, deleted bool) error {
	switch {
	case len(value) > MaxValue:
		return fault.New(fault.TooLarge, "value of %d bytes: want at most %d", len(value), MaxValue)
	case k.owner != "" && k.owner != author:
		return fault.New(fault.Forbidden, "key %q belongs to peer %s; %s may not write it", k.text, k.owner, author)
	case k.content != nil && !deleted:
		if digest := sha256.Sum256(value); !bytes.Equal(digest[:], k.content) {
			return fault.New(fault.Invalid, "key %q: the value's SHA-256 is %x", k.text, digest)
		}
	}
	return nil
}
