package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/ledger"
)

// A snapshot is a list of chunks, each of entries to the end: key<8> value<16>. A value of no bytes does not occur in a state; where it does here, results follow: count uint32, each id[32] code uint8 operation
// uint16, of the block whose entry among the recent ones has that key. All entries come first, in the order of keys, and then the results, so that every node makes the same chunks of the same state.
const (
	// ChunkSize is about how many bytes a chunk has, and MaxChunk the most: what a chunk ends with may be the results of a large block.
	ChunkSize = 1 << 20
	MaxChunk  = ChunkSize + ledger.MaxBlockCost*resultSize
	// resultSize is the number of bytes of a result.
	resultSize = 32 + 1 + 2
	// maxKey is the most bytes of a key of the state.
	maxKey = 128
)

// Snapshot returns the chunks of the state. A chunk is good until the next is asked for; an error ends them.
func (v *View) Snapshot() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c := &chunker{yield: yield, more: true}
		err := v.Ascend(nil, func(key, value []byte) bool {
			c.add(key, value)
			return c.more
		})
		if err == nil && c.more {
			err = v.eachResults(func(key []byte, results []ledger.Result) bool {
				c.add(key, nil)
				c.addResults(results)
				return c.more
			})
		}
		switch {
		case err != nil:
			yield(nil, err)
		case c.more && len(c.chunk) > 0:
			c.flush()
		}
	}
}

// chunker cuts what is added into chunks.
type chunker struct {
	yield func([]byte, error) bool
	chunk []byte
	more  bool
}

// add adds an entry. A chunk ends with what made it large enough.
func (c *chunker) add(key, value []byte) {
	c.chunk = append(append(c.chunk, byte(len(key))), key...)
	c.chunk = append(binary.BigEndian.AppendUint16(c.chunk, uint16(len(value))), value...)
	if len(value) > 0 && len(c.chunk) >= ChunkSize {
		c.flush()
	}
}

func (c *chunker) addResults(results []ledger.Result) {
	c.chunk = appendResults(c.chunk, results)
	if len(c.chunk) >= ChunkSize {
		c.flush()
	}
}

func (c *chunker) flush() {
	c.more = c.yield(c.chunk, nil)
	c.chunk = c.chunk[:0]
}

// eachResults calls f with the results of the recent blocks, until it returns false.
func (v *View) eachResults(f func(key []byte, results []ledger.Result) bool) error {
	var failed error
	err := v.Ascend(ledger.RecentBlocks(), func(key, _ []byte) bool {
		results, err := v.results(key)
		if failed = err; err != nil {
			return false
		}
		return f(key, results)
	})
	return errors.Join(err, failed)
}

// results returns what became of the transactions of a recent block, whether the block is here or was only told of.
func (v *View) results(recentKey []byte) ([]ledger.Result, error) {
	height := int64(binary.BigEndian.Uint64(recentKey[1:]))
	b, err := v.Block(height)
	if err != nil {
		return nil, err
	}
	if b != nil {
		return b.Results, nil
	}
	data, err := get(v.snap, resultsKey(height))
	if err != nil {
		return nil, err
	}
	s := cryptobyte.String(data)
	results, ok := readResults(&s)
	if !ok || !s.Empty() {
		return nil, errDamaged(fmt.Sprintf("list of results of block %d", height))
	}
	return results, nil
}

func appendResults(b []byte, results []ledger.Result) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(results)))
	for i := range results {
		r := &results[i]
		b = append(append(b, r.ID[:]...), byte(r.Code))
		b = binary.BigEndian.AppendUint16(b, r.Operation)
	}
	return b
}

func readResults(s *cryptobyte.String) ([]ledger.Result, bool) {
	var count uint32
	if !s.ReadUint32(&count) || count == 0 || int64(count)*resultSize > int64(len(*s)) {
		return nil, false
	}
	results := make([]ledger.Result, count)
	for i := range results {
		r := &results[i]
		if !s.CopyBytes(r.ID[:]) || !s.ReadUint8((*uint8)(&r.Code)) || !s.ReadUint16(&r.Operation) || !r.Valid() {
			return nil, false
		}
	}
	return results, true
}
