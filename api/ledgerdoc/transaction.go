// Package ledgerdoc turns the ledger's types into the documents of the HTTP API and back. Nodes write them, and programs that sign transactions read them.
package ledgerdoc

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// FromTransaction returns the document of a transaction in a network, signed or not.
func FromTransaction(network ledger.Hash, t *ledger.Transaction) v1.Transaction {
	d := v1.Transaction{
		Network: network.String(), ValidUntil: time.UnixMilli(t.ValidUntil).UTC(), Salt: strconv.FormatUint(t.Salt, 10), Operations: []v1.Operation{}, Signers: []v1.Authorization{},
	}
	if utf8.Valid(t.Memo) {
		d.Memo = string(t.Memo)
	} else {
		d.MemoBase64 = t.Memo
	}
	if t.Slot != nil {
		d.Slot = &v1.Slot{Account: t.Slot.Account.String(), Number: t.Slot.Number, Sequence: t.Slot.Sequence}
	}
	for _, op := range t.Operations {
		d.Operations = append(d.Operations, FromOperation(op))
	}
	for i := range t.Authorizations {
		d.Signers = append(d.Signers, fromAuthorization(&t.Authorizations[i]))
	}
	return d
}

func fromAuthorization(a *ledger.Authorization) v1.Authorization {
	d := v1.Authorization{Account: a.Account.String(), Threshold: a.KeySet.Threshold, Keys: keyTexts(a.KeySet.Keys), Signatures: []v1.Signature{}}
	for _, s := range a.Signatures {
		d.Signatures = append(d.Signatures, v1.Signature{Key: s.Key, Signature: append([]byte(nil), s.Bytes[:]...)})
	}
	return d
}

func keyTexts(keys []ledger.PublicKey) []string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.String()
	}
	return texts
}

// FromRules returns the document of the rules after the block of a height.
func FromRules(r *ledger.Rules, height int64) *v1.Rules {
	d := &v1.Rules{Version: r.At(height + 1), Known: ledger.RulesVersion}
	if r.Height > height+1 {
		d.Next, d.From = r.Next, r.Height
	}
	return d
}

// ToTransaction reads a document: the network, and a transaction whose body is valid. That all have signed is not asked for. Errors are of kind fault.Invalid, or fault.TooLarge.
func ToTransaction(d *v1.Transaction) (network ledger.Hash, t *ledger.Transaction, err error) {
	if network, err = ledger.ParseHash(d.Network); err != nil {
		return network, nil, fmt.Errorf("network: %w", err)
	}
	t = &ledger.Transaction{}
	t.ValidUntil = d.ValidUntil.UnixMilli()
	if !time.UnixMilli(t.ValidUntil).Equal(d.ValidUntil) {
		return network, nil, fault.New(fault.Invalid, "valid_until: %s is finer than a millisecond", d.ValidUntil.Format(time.RFC3339Nano))
	}
	if t.Salt, err = strconv.ParseUint(d.Salt, 10, 64); err != nil {
		return network, nil, fault.New(fault.Invalid, "salt: %q is no number below 2^64", d.Salt)
	}
	if t.Memo = []byte(d.Memo); len(d.MemoBase64) > 0 {
		t.Memo = d.MemoBase64
	}
	if d.Memo != "" && len(d.MemoBase64) > 0 {
		return network, nil, fault.New(fault.Invalid, "memo and memo_base64 are both there")
	}
	if len(t.Memo) == 0 {
		t.Memo = nil
	}
	if s := d.Slot; s != nil {
		t.Slot = &ledger.Slot{Number: s.Number, Sequence: s.Sequence}
		if t.Slot.Account, err = ledger.ParseAccountID(s.Account); err != nil {
			return network, nil, fmt.Errorf("slot: %w", err)
		}
	}
	for i := range d.Operations {
		op, err := ToOperation(&d.Operations[i])
		if err != nil {
			return network, nil, fmt.Errorf("operation %d: %w", i+1, err)
		}
		t.Operations = append(t.Operations, op)
	}
	if err := t.Body.Validate(); err != nil {
		return network, nil, err
	}
	for i := range d.Signers {
		a, err := toAuthorization(&d.Signers[i])
		if err != nil {
			return network, nil, fmt.Errorf("signer %d: %w", i+1, err)
		}
		t.Authorizations = append(t.Authorizations, a)
	}
	return network, t, nil
}

func toAuthorization(d *v1.Authorization) (a ledger.Authorization, err error) {
	if a.Account, err = ledger.ParseAccountID(d.Account); err != nil {
		return a, err
	}
	if a.KeySet, err = toKeySet(d.Threshold, d.Keys); err != nil {
		return a, err
	}
	for _, s := range d.Signatures {
		one := ledger.Signature{Key: s.Key}
		if copy(one.Bytes[:], s.Signature); len(s.Signature) != len(one.Bytes) {
			return a, fault.New(fault.Invalid, "a signature of %d bytes: want %d", len(s.Signature), len(one.Bytes))
		}
		a.Signatures = append(a.Signatures, one)
	}
	return a, nil
}

func toKeySet(threshold uint8, texts []string) (k ledger.KeySet, err error) {
	k.Threshold = threshold
	for _, text := range texts {
		var key ledger.PublicKey
		if err := key.UnmarshalText([]byte(text)); err != nil {
			return k, err
		}
		k.Keys = append(k.Keys, key)
	}
	return k, k.Validate()
}
