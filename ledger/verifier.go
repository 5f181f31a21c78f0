package ledger

import (
	"crypto/rand"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/folkmoot/folkmoot/fault"
)

// batchSize is how many signatures are checked at once. Beyond some hundreds a batch gains little more, and of a batch that fails every signature is checked again.
const batchSize = 256

// rules are those of ZIP-215 (Zcash): what they take as a signature is the same on every node, one by one and in batches, which RFC 8032 leaves open.
func rules() *ed25519.Options { return &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215} }

// VerifySignatures checks every signature of valid transactions in a network, many at once. It returns one error for each transaction, in order: nil, or one of kind fault.Invalid that says whose
// signature is wrong. Its verdict on a transaction does not depend on the others.
func VerifySignatures(network Hash, transactions []*Transaction) []error {
	verdicts := make([]error, len(transactions))
	var pending signatures
	for i, t := range transactions {
		pending = pending.add(network, t, i)
		if len(pending) >= batchSize {
			pending.verify(verdicts)
			pending = pending[:0]
		}
	}
	pending.verify(verdicts)
	return verdicts
}

// signatures are those of some transactions.
type signatures []signature

type signature struct {
	key, message, bytes []byte
	account             AccountID
	transaction         int // its index
}

// add adds those of a transaction.
func (s signatures) add(network Hash, t *Transaction, transaction int) signatures {
	message := SigningBytes(t.ID(network))
	for i := range t.Authorizations {
		a := &t.Authorizations[i]
		for j := range a.Signatures {
			one := &a.Signatures[j]
			s = append(s, signature{a.KeySet.Keys[one.Key][:], message, one.Bytes[:], a.Account, transaction})
		}
	}
	return s
}

// verify sets the verdicts on those transactions that have a wrong one. Of a batch that fails each is checked by itself.
func (s signatures) verify(verdicts []error) {
	if len(s) > 1 && s.verifyBatch() {
		return
	}
	options := rules()
	for i := range s {
		one := &s[i]
		if verdicts[one.transaction] == nil && !ed25519.VerifyWithOptions(one.key, one.message, one.bytes, options) {
			verdicts[one.transaction] = fault.New(fault.Invalid, "a signature of %s is not by its key, or is of another transaction or network", one.account)
		}
	}
}

// verifyBatch reports whether all are right. The randomness keeps anybody from making wrong ones that cancel each other out.
func (s signatures) verifyBatch() bool {
	batch, options := ed25519.NewBatchVerifierWithCapacity(len(s)), rules()
	for i := range s {
		one := &s[i]
		batch.AddWithOptions(one.key, one.message, one.bytes, options)
	}
	return batch.VerifyBatchOnly(rand.Reader)
}
