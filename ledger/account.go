package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"

	"github.com/decred/dcrd/bech32"

	"github.com/folkmoot/folkmoot/fault"
)

// PublicKey is an Ed25519 public key (RFC 8032), valid or not: signatures decide, by the rules of ZIP-215.
type PublicKey [ed25519.PublicKeySize]byte

// MaxKeys is the most keys of an account.
const MaxKeys = 16

// KeySet says who may speak for an account: the holders of any Threshold of its Keys.
type KeySet struct {
	// Threshold is 1 to len(Keys).
	Threshold uint8
	// Keys are 1 to MaxKeys, in strictly ascending order.
	Keys []PublicKey
}

// Validate returns an error of kind fault.Invalid when the key set breaks its bounds.
func (k *KeySet) Validate() error {
	if len(k.Keys) == 0 || len(k.Keys) > MaxKeys {
		return fault.New(fault.Invalid, "an account of %d keys: want 1 to %d", len(k.Keys), MaxKeys)
	}
	if k.Threshold == 0 || int(k.Threshold) > len(k.Keys) {
		return fault.New(fault.Invalid, "%d of %d keys must sign: want 1 to %d", k.Threshold, len(k.Keys), len(k.Keys))
	}
	for i := 1; i < len(k.Keys); i++ {
		if bytes.Compare(k.Keys[i-1][:], k.Keys[i][:]) >= 0 {
			return fault.New(fault.Invalid, "the keys of an account are not in strictly ascending order")
		}
	}
	return nil
}

// ID returns the id of the account whose first key set this is.
func (k *KeySet) ID() AccountID {
	var room [128]byte // most accounts have one key
	data := append(append(room[:0], byte(len(domainAccount))), domainAccount...)
	return AccountID(sha256.Sum256(appendKeySet(data, k)))
}

// Equal reports whether both name the same keys and threshold.
func (k *KeySet) Equal(other *KeySet) bool {
	if k.Threshold != other.Threshold || len(k.Keys) != len(other.Keys) {
		return false
	}
	for i := range k.Keys {
		if k.Keys[i] != other.Keys[i] {
			return false
		}
	}
	return true
}

// AccountID names an account: the hash of its first key set. The account needs no place in the state: who shows the key set with that hash may speak for it, until it puts other keys
// there.
type AccountID Hash

// accountPrefix begins the text of an account id.
const accountPrefix = "moot"

// maxAccountText is longer than the text of any account id.
const maxAccountText = 64

// String returns the id as people see it: Bech32 (BIP-173) under the prefix "moot", whose checksum finds mistyped characters. That a character before a final "p" may be
// inserted unnoticed in Bech32 does not matter here, as all ids are of one length.
func (a AccountID) String() string {
	s, err := bech32.EncodeFromBase256(accountPrefix, a[:])
	if err != nil {
		return Hash(a).String() // not reached: the input is of the right kind
	}
	return s
}

// ParseAccountID is the inverse of AccountID.String. Its errors are of kind fault.Invalid.
func ParseAccountID(s string) (AccountID, error) {
	var a AccountID
	if len(s) > maxAccountText {
		return a, fault.New(fault.Invalid, "%q is not an account: too long", clip(s))
	}
	prefix, data, err := bech32.DecodeToBase256(s)
	switch {
	case err != nil:
		return a, fault.New(fault.Invalid, "%q is not an account: %w", s, err)
	case prefix != accountPrefix || len(data) != len(a):
		return a, fault.New(fault.Invalid, "%q is not an account: want %s1…", s, accountPrefix)
	}
	copy(a[:], data)
	return a, nil
}
