package ledger

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

// A transaction on the wire and on the disk; numbers are big-endian, and <8> and <16> stand before bytes whose length they give in 8 and 16 bits:
//
//	version uint8 = 1
//	body
//	authorizations uint8, each: account[32], keyset, signatures uint8, each: key uint8, bytes[64]
//
//	body:   valid until uint64, slot uint8 = 0, or 1 with account[32] number uint8 sequence uint32, salt uint64, memo<8>, operations uint16, each as in codec_operation.go
//	keyset: threshold uint8, keys uint8, each [32]
//
// The encoding is canonical: whatever ParseTransaction takes, AppendTransaction writes as it was.
const transactionVersion = 1

var errTransaction = fault.New(fault.Invalid, "malformed transaction")

// EncodeTransaction returns the encoding of t. It fails as ParseTransaction would.
func EncodeTransaction(t *Transaction) ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	data := AppendTransaction(nil, t)
	if len(data) > MaxTransaction {
		return nil, errTooLarge(len(data))
	}
	return data, nil
}

func errTooLarge(n int) error {
	return fault.New(fault.TooLarge, "a transaction of %d bytes: at most %d", n, MaxTransaction)
}

// AppendTransaction appends the encoding of t, which must be valid and not too large, to b.
func AppendTransaction(b []byte, t *Transaction) []byte {
	b = appendBody(append(b, transactionVersion), &t.Body)
	b = append(b, byte(len(t.Authorizations)))
	for i := range t.Authorizations {
		a := &t.Authorizations[i]
		b = appendKeySet(append(b, a.Account[:]...), &a.KeySet)
		b = append(b, byte(len(a.Signatures)))
		for j := range a.Signatures {
			b = append(append(b, a.Signatures[j].Key), a.Signatures[j].Bytes[:]...)
		}
	}
	return b
}

// ParseTransaction reads a transaction and validates it. The result does not alias data. Errors are of kind fault.Invalid, or fault.TooLarge above MaxTransaction.
func ParseTransaction(data []byte) (*Transaction, error) {
	if len(data) > MaxTransaction {
		return nil, errTooLarge(len(data))
	}
	t, s := new(Transaction), cryptobyte.String(data)
	var version uint8
	if !s.ReadUint8(&version) {
		return nil, errTransaction
	}
	if version != transactionVersion {
		return nil, fault.New(fault.Invalid, "a transaction of version %d: this program reads version %d", version, transactionVersion)
	}
	if !readBody(&s, &t.Body) || !readAuthorizations(&s, &t.Authorizations) || !s.Empty() {
		return nil, errTransaction
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

// AppendBody appends the encoding of a valid body, whose hash the transaction's id is, to b.
func AppendBody(b []byte, body *Body) []byte { return appendBody(b, body) }

// ParseBody reads a body and validates it. What it takes, AppendBody writes as it was. Errors are of kind fault.Invalid, or fault.TooLarge above MaxTransaction.
func ParseBody(data []byte) (*Body, error) {
	if len(data) > MaxTransaction {
		return nil, errTooLarge(len(data))
	}
	body, s := new(Body), cryptobyte.String(data)
	if !readBody(&s, body) || !s.Empty() {
		return nil, errTransaction
	}
	return body, body.Validate()
}

func appendBody(b []byte, body *Body) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(body.ValidUntil))
	if s := body.Slot; s == nil {
		b = append(b, 0)
	} else {
		b = append(append(append(b, 1), s.Account[:]...), s.Number)
		b = binary.BigEndian.AppendUint32(b, s.Sequence)
	}
	b = binary.BigEndian.AppendUint64(b, body.Salt)
	b = append(append(b, byte(len(body.Memo))), body.Memo...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body.Operations)))
	for _, op := range body.Operations {
		b = appendOperation(b, op)
	}
	return b
}

func readBody(s *cryptobyte.String, body *Body) bool {
	var until uint64
	var slot uint8
	var memo cryptobyte.String
	var count uint16
	if !s.ReadUint64(&until) || until > 1<<63-1 || !s.ReadUint8(&slot) || slot > 1 {
		return false
	}
	body.ValidUntil = int64(until)
	if slot == 1 {
		body.Slot = new(Slot)
		if !s.CopyBytes(body.Slot.Account[:]) || !s.ReadUint8(&body.Slot.Number) || !s.ReadUint32(&body.Slot.Sequence) {
			return false
		}
	}
	if !s.ReadUint64(&body.Salt) || !s.ReadUint8LengthPrefixed(&memo) || len(memo) > MaxMemo || !s.ReadUint16(&count) || count > MaxOperations {
		return false
	}
	if len(memo) > 0 {
		body.Memo = append([]byte(nil), memo...)
	}
	body.Operations = make([]Operation, 0, min(int(count), len(*s)/minOperation+1))
	for range count {
		op := readOperation(s)
		if op == nil {
			return false
		}
		body.Operations = append(body.Operations, op)
	}
	return true
}

func readAuthorizations(s *cryptobyte.String, authorizations *[]Authorization) bool {
	var count uint8
	if !s.ReadUint8(&count) {
		return false
	}
	for range count {
		var a Authorization
		var signatures uint8
		if !s.CopyBytes(a.Account[:]) || !readKeySet(s, &a.KeySet) || !s.ReadUint8(&signatures) || signatures > MaxKeys {
			return false
		}
		a.Signatures = make([]Signature, signatures)
		for i := range a.Signatures {
			if !s.ReadUint8(&a.Signatures[i].Key) || !s.CopyBytes(a.Signatures[i].Bytes[:]) {
				return false
			}
		}
		*authorizations = append(*authorizations, a)
	}
	return true
}

func appendKeySet(b []byte, k *KeySet) []byte {
	b = append(b, k.Threshold, byte(len(k.Keys)))
	for i := range k.Keys {
		b = append(b, k.Keys[i][:]...)
	}
	return b
}

// readKeySet reads a key set. It is the caller's to validate.
func readKeySet(s *cryptobyte.String, k *KeySet) bool {
	var count uint8
	if !s.ReadUint8(&k.Threshold) || !s.ReadUint8(&count) || count > MaxKeys || len(*s) < int(count)*len(PublicKey{}) {
		return false
	}
	k.Keys = make([]PublicKey, count)
	for i := range k.Keys {
		if !s.CopyBytes(k.Keys[i][:]) {
			return false
		}
	}
	return true
}
