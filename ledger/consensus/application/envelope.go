package application

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// MaxEnvelope is the most bytes of an encoded envelope, and MaxEnvelopeTransactions the most transactions in it.
	MaxEnvelope             = 1 << 20
	MaxEnvelopeTransactions = 4096
	// envelopeHead is the number of bytes before the first transaction, and lengthSize that of the length of each.
	envelopeHead, lengthSize = 1 + 8, 3
	// envelopeVersion is that of the encoding: version uint8, salt uint64, then to the end transaction<24>.
	envelopeVersion = 1
)

// Room returns how many bytes a transaction of n bytes takes in an envelope.
func Room(n int) int { return lengthSize + n }

// MaxRoom is the room of an envelope.
const MaxRoom = MaxEnvelope - envelopeHead

// EncodeEnvelope puts encoded transactions into an envelope. They must fit: see Room, MaxRoom and MaxEnvelopeTransactions. The salt makes it another envelope than one that was in a block or was refused
// before, which CometBFT remembers and does not take once more, here and at other nodes: its transactions may be good by now.
func EncodeEnvelope(salt uint64, transactions [][]byte) []byte {
	size := envelopeHead
	for _, t := range transactions {
		size += Room(len(t))
	}
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, size), envelopeVersion), salt)
	for _, t := range transactions {
		b = append(append(b, byte(len(t)>>16), byte(len(t)>>8), byte(len(t))), t...)
	}
	return b
}

// ParseEnvelope reads an envelope of valid transactions, at least one, whose signatures it does not check. Errors are of kind fault.Invalid, or fault.TooLarge.
func ParseEnvelope(data []byte) ([]*ledger.Transaction, error) {
	if len(data) > MaxEnvelope {
		return nil, fault.New(fault.TooLarge, "an envelope of %d bytes: at most %d", len(data), MaxEnvelope)
	}
	s := cryptobyte.String(data)
	var version uint8
	if !s.ReadUint8(&version) || version != envelopeVersion || !s.Skip(envelopeHead-1) || s.Empty() {
		return nil, fault.New(fault.Invalid, "malformed envelope of transactions")
	}
	var list []*ledger.Transaction
	for !s.Empty() {
		var raw cryptobyte.String
		if !s.ReadUint24LengthPrefixed(&raw) || len(list) == MaxEnvelopeTransactions {
			return nil, fault.New(fault.Invalid, "malformed envelope of transactions")
		}
		t, err := ledger.ParseTransaction(raw)
		if err != nil {
			return nil, fault.As(fault.Invalid, err)
		}
		list = append(list, t)
	}
	return list, nil
}

// cost is what transactions count for against the bound of a block, whether they are carried out or not: that each node must check their signatures.
func cost(list []*ledger.Transaction) (n uint32) {
	for _, t := range list {
		n += uint32(t.Cost())
	}
	return n
}
