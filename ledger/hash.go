package ledger

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/folkmoot/folkmoot/fault"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash is the inverse of String. Its errors are of kind fault.Invalid.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(len(h)) {
		return h, fault.New(fault.Invalid, "%q is not a hash: want %d hexadecimal digits", clip(s), hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fault.New(fault.Invalid, "%q is not a hash: %w", s, err)
	}
	return h, nil
}

// Domains keep what is hashed or signed for one purpose from meaning anything for another.
const (
	domainAccount     = "folkmoot/account/1"
	domainTransaction = "folkmoot/transaction/1"
	domainSignature   = "folkmoot/signature/1"
	domainProposal    = "folkmoot/proposal/1"
	domainGenesis     = "folkmoot/genesis/1"
	domainSuccessor   = "folkmoot/successor/1"
	domainFounding    = "folkmoot/founding/1"
	domainRoster      = "folkmoot/roster/1"
)

// hashOf hashes parts under a domain. All parts but the last must be of fixed length, so that no two lists of parts are the same bytes.
func hashOf(domain string, parts ...[]byte) (sum Hash) {
	h := sha256.New()
	h.Write([]byte{byte(len(domain))})
	h.Write([]byte(domain))
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// clip shortens text of others for messages.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
