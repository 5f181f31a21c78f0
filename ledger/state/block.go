package state

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/ledger"
)

// Block is a block with what became of its transactions.
type Block struct {
	// Height is that of the block, 1 or more; it need not follow the last one's at once: blocks that change nothing need not be handed in.
	Height int64
	// Time is the block's, in milliseconds since 1970.
	Time int64
	// Transactions and Results are as long as each other.
	Transactions []*ledger.Transaction
	Results      []ledger.Result
	// Changes are what the block does to the entries, sorted by key, each key once; a nil value removes. They are not kept with the block.
	Changes []ledger.Change
}

// A block on disk: version uint8 = 1, time uint64, then to the end for each transaction: code uint8, operation uint16, transaction<24>.
const blockVersion = 1

// roomEach is what most transactions take of a block, in bytes: a transfer that one key has signed has 271.
const roomEach = 320

var errBlock = errDamaged("block")

// marshal writes the block as it is kept.
func (b *Block) marshal() []byte {
	out := append(make([]byte, 0, 16+roomEach*len(b.Transactions)), blockVersion)
	out = binary.BigEndian.AppendUint64(out, uint64(b.Time))
	for i, t := range b.Transactions {
		out = append(out, byte(b.Results[i].Code))
		out = binary.BigEndian.AppendUint16(out, b.Results[i].Operation)
		at := len(out)
		out = ledger.AppendTransaction(append(out, 0, 0, 0), t)
		n := len(out) - at - 3
		out[at], out[at+1], out[at+2] = byte(n>>16), byte(n>>8), byte(n)
	}
	return out
}

// parseBlock reads the block of a network but for its height, which is in its key.
func parseBlock(network ledger.Hash, data []byte) (*Block, error) {
	s := cryptobyte.String(data)
	var version uint8
	var time uint64
	if !s.ReadUint8(&version) || version != blockVersion || !s.ReadUint64(&time) || time > 1<<63-1 {
		return nil, errBlock
	}
	b := &Block{Time: int64(time)}
	for !s.Empty() {
		var code uint8
		var operation uint16
		var raw cryptobyte.String
		if !s.ReadUint8(&code) || !s.ReadUint16(&operation) || !s.ReadUint24LengthPrefixed(&raw) {
			return nil, errBlock
		}
		r := ledger.Result{Code: ledger.Code(code), Operation: operation}
		t, err := ledger.ParseTransaction(raw)
		if err != nil || !r.Valid() {
			return nil, errBlock
		}
		r.ID = t.ID(network)
		b.Transactions = append(b.Transactions, t)
		b.Results = append(b.Results, r)
	}
	return b, nil
}
