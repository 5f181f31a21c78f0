package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// Bounds of a transaction.
const (
	// MaxTransaction is the most bytes of an encoded transaction.
	MaxTransaction = 64 << 10
	// MaxOperations is the most operations of a transaction.
	MaxOperations = 256
	// MaxSigners is the most accounts that sign a transaction: the wire counts them in one byte.
	MaxSigners = 255
	// MaxMemo is the most bytes of a transaction's memo.
	MaxMemo = 128
	// MaxSlots is how many slots an account has.
	MaxSlots = 16
	// MaxWindow is the longest time that a transaction without a slot is valid for, and MaxSlotWindow that of one with a slot.
	MaxWindow     = time.Hour
	MaxSlotWindow = 90 * 24 * time.Hour
)

// TransactionID names a transaction in one network: the hash of the network's id and the transaction's body, without signatures.
type TransactionID Hash

// String returns the id in hexadecimal.
func (id TransactionID) String() string { return Hash(id).String() }

// Body is what a transaction says.
type Body struct {
	// ValidUntil is the block time, in milliseconds since 1970, from which on no block may hold the transaction. It is more than 0, and at most MaxWindow ahead of
	// the block's time, or MaxSlotWindow with a slot.
	ValidUntil int64
	// Slot is nil, or makes the transaction valid for longer.
	Slot *Slot
	// Salt tells transactions apart that are otherwise the same, and both meant.
	Salt uint64
	// Memo is up to MaxMemo bytes for people, without meaning here.
	Memo []byte
	// Operations are 1 to MaxOperations, each of which sees those before it.
	Operations []Operation
}

// Slot is a place of an account for a transaction that may wait for long, for instance until all have signed. However a transaction with a slot ends, the sequence of its slot rises by one:
// it can't happen twice, and another with the same slot and sequence takes its place.
type Slot struct {
	// Account is one of those that sign.
	Account AccountID
	// Number is 0 to MaxSlots-1.
	Number uint8
	// Sequence is how many transactions have used the slot before.
	Sequence uint32
}

// Transaction is a body with its authorizations.
type Transaction struct {
	Body
	// Authorizations are one of each account that must sign and of no other, strictly ascending by account.
	Authorizations []Authorization
}

// Authorization is the word of one account.
type Authorization struct {
	Account AccountID
	// KeySet are the account's present keys. A block holds the transaction only if they are.
	KeySet KeySet
	// Signatures are at least KeySet.Threshold, strictly ascending by Key.
	Signatures []Signature
}

// Signature is one of a key of a KeySet.
type Signature struct {
	// Key is the index in KeySet.Keys.
	Key   uint8
	Bytes [ed25519.SignatureSize]byte
}

// ID returns the transaction's id in a network.
func (b *Body) ID(network Hash) TransactionID {
	var room [512]byte // most bodies are shorter, and each is hashed several times on its way
	data := append(append(room[:0], byte(len(domainTransaction))), domainTransaction...)
	return TransactionID(sha256.Sum256(appendBody(append(data, network[:]...), b)))
}

// SigningBytes returns what the keys of an account sign to authorize the transaction of that id.
func SigningBytes(id TransactionID) []byte { return append([]byte(domainSignature), id[:]...) }

// ValidFrom returns the block time, in milliseconds since 1970, before which no block may hold the transaction: ValidUntil less the longest time for which one may be valid.
func (b *Body) ValidFrom() int64 {
	if b.Slot != nil {
		return b.ValidUntil - MaxSlotWindow.Milliseconds()
	}
	return b.ValidUntil - MaxWindow.Milliseconds()
}

// Signers returns the accounts that must sign, in ascending order.
func (b *Body) Signers() []AccountID {
	var accounts []AccountID
	for _, op := range b.Operations {
		accounts = insertAccount(accounts, op.signer())
		if o, ok := op.(*ReplaceMember); ok {
			accounts = insertAccount(accounts, o.cosigner())
		}
	}
	return accounts
}

// Validate returns an error of kind fault.Invalid, or fault.TooLarge, when the body breaks its bounds.
func (b *Body) Validate() error {
	switch {
	case b.ValidUntil <= 0:
		return fault.New(fault.Invalid, "the transaction does not say until when it is valid")
	case len(b.Memo) > MaxMemo:
		return fault.New(fault.TooLarge, "a memo of %d bytes: at most %d", len(b.Memo), MaxMemo)
	case len(b.Operations) == 0 || len(b.Operations) > MaxOperations:
		return fault.New(fault.Invalid, "a transaction of %d operations: want 1 to %d", len(b.Operations), MaxOperations)
	}
	for i, op := range b.Operations {
		if err := op.validate(); err != nil {
			return fault.As(fault.KindOf(err), wrapOperation(i, op, err))
		}
	}
	signers := b.Signers()
	if len(signers) > MaxSigners {
		return fault.New(fault.Invalid, "%d accounts must sign: at most %d", len(signers), MaxSigners)
	}
	if b.Slot == nil {
		return nil
	}
	if b.Slot.Number >= MaxSlots {
		return fault.New(fault.Invalid, "slot %d: want 0 to %d", b.Slot.Number, MaxSlots-1)
	}
	if !hasAccount(signers, b.Slot.Account) {
		return fault.New(fault.Invalid, "the slot is of %s, which has nothing to sign here", b.Slot.Account)
	}
	return nil
}

// Validate returns an error of kind fault.Invalid, or fault.TooLarge, when the transaction breaks its bounds or is not authorized by those who must sign. It does not check signatures, which a
// Verifier does, nor that key sets are the present ones, which a Block does.
func (t *Transaction) Validate() error {
	if err := t.Body.Validate(); err != nil {
		return err
	}
	signers := t.Signers()
	for i, a := range t.Authorizations {
		if i >= len(signers) || a.Account != signers[i] {
			return authorizationError(signers, t.Authorizations)
		}
		if err := a.validate(); err != nil {
			return err
		}
	}
	if len(t.Authorizations) < len(signers) {
		return authorizationError(signers, t.Authorizations)
	}
	return nil
}

func (a *Authorization) validate() error {
	if err := a.KeySet.Validate(); err != nil {
		return fault.As(fault.Invalid, wrapAccount(a.Account, err))
	}
	if len(a.Signatures) < int(a.KeySet.Threshold) {
		return fault.New(fault.Invalid, "%s: %d signatures of the %d that it takes", a.Account, len(a.Signatures), a.KeySet.Threshold)
	}
	for i, s := range a.Signatures {
		if int(s.Key) >= len(a.KeySet.Keys) || i > 0 && s.Key <= a.Signatures[i-1].Key {
			return fault.New(fault.Invalid, "%s: signatures are not by different keys of the account in ascending order", a.Account)
		}
	}
	return nil
}

// Sign adds the signature of a key to the authorization of an account with the given keys, which it makes where there is none; a signature of that key which is there is replaced. It fails with
// fault.Invalid when the account has nothing to sign, the key is not among keys, or others signed with other keys.
func (t *Transaction) Sign(network Hash, account AccountID, keys *KeySet, key ed25519.PrivateKey) error {
	if err := keys.Validate(); err != nil {
		return err
	}
	if !hasAccount(t.Signers(), account) {
		return fault.New(fault.Invalid, "%s has nothing to sign here", account)
	}
	index := keys.index(PublicKey(key.Public().(ed25519.PublicKey)))
	if index < 0 {
		return fault.New(fault.Invalid, "the key is not one of %s", account)
	}
	a := t.authorization(account)
	if len(a.Signatures) > 0 && !a.KeySet.Equal(keys) {
		return fault.New(fault.Invalid, "%s: the transaction is signed under other keys", account)
	}
	a.KeySet = KeySet{keys.Threshold, append([]PublicKey(nil), keys.Keys...)}
	s := Signature{Key: uint8(index)}
	copy(s.Bytes[:], ed25519.Sign(key, SigningBytes(t.ID(network))))
	a.add(s)
	return nil
}

// Cost is what a transaction counts for against the bounds of a block: its operations and its signatures.
func (t *Transaction) Cost() int {
	n := len(t.Operations)
	for _, a := range t.Authorizations {
		n += len(a.Signatures)
	}
	return n
}
