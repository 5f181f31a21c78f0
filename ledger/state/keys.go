package state

import (
	"encoding/binary"

	"github.com/folkmoot/folkmoot/ledger"
)

// What pebble's keys begin with, and what follows.
const (
	prefixMeta    = 'm' // one of the names below
	prefixEntry   = 's' // key of the state: value
	prefixPage    = 'p' // key of a page of the tree: page
	prefixBlock   = 'b' // height uint64: block
	prefixID      = 't' // id of a transaction: height uint64, index uint32
	prefixAccount = 'h' // account, height uint64, index uint32: nothing
	prefixAnchor  = 'a' // digest, height uint64, index uint32: nothing; of an anchor that was applied
	prefixResults = 'n' // height uint64: results of a block that is not here, since the store was made of a snapshot
	prefixProof   = 'q' // height uint64: what a block's entry among the recent ones was and the proof that it was there after the block
	prefixChange  = 'c' // height uint64: nothing; of a block that changed a validator
	prefixSorted  = 'r' // hash of a key of the state: hash of its value; only while a snapshot is restored
)

// The names in prefixMeta.
const (
	metaFormat  = "format"
	metaNetwork = "network"
	metaTip     = "tip"
	metaFirst   = "first"     // the lowest block that is kept
	metaRestore = "restoring" // there while a snapshot is restored
)

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

func entryKey(b, key []byte) []byte { return append(append(b[:0], prefixEntry), key...) }

func pageKey(b, key []byte) []byte { return append(append(b[:0], prefixPage), key...) }

func blockKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixBlock}, uint64(height))
}

func proofKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixProof}, uint64(height))
}

func changeKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixChange}, uint64(height))
}

func resultsKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixResults}, uint64(height))
}

func idKey(id *ledger.TransactionID) []byte { return append([]byte{prefixID}, id[:]...) }

// accountKey is where a transaction is found by an account.
func accountKey(account *ledger.AccountID, at Position) []byte {
	b := append([]byte{prefixAccount}, account[:]...)
	return at.appendTo(b)
}

// anchorKey is where a transaction is found by what it anchors.
func anchorKey(digest *ledger.Hash, at Position) []byte {
	b := append([]byte{prefixAnchor}, digest[:]...)
	return at.appendTo(b)
}

// Position is where a transaction is.
type Position struct {
	Height int64
	// Index is its number in the block, from 0.
	Index uint32
}

const positionSize = 12

func (p Position) appendTo(b []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, uint64(p.Height)), p.Index)
}

func positionFrom(b []byte) Position {
	return Position{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])}
}

// above returns the least key that is greater than all that begin with prefix; nil: there is none.
func above(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
