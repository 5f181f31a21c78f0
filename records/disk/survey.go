package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// keysEnd is greater than every key of the store.
var keysEnd = []byte{0xff}

// isDamage reports whether err says that what was stored can't be read, rather than that reading failed for want of memory, file descriptors or the like, which may
// pass.
func isDamage(err error) bool {
	if pebble.IsCorruptionError(err) {
		return true
	}
	for _, e := range []error{syscall.EIO, io.ErrUnexpectedEOF, os.ErrNotExist, errHead, errEnvelope, errMeta} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isSystem reports whether err is the system's, as that there is no memory or no right to read, and says nothing about what is stored.
func isSystem(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok && !isDamage(err)
}

// A span is a range of the store's keys, end excluded.
type span struct{ start, end []byte }

func (s span) contains(key []byte) bool {
	return bytes.Compare(s.start, key) <= 0 && bytes.Compare(key, s.end) < 0
}

// within cuts a span to the keys that start with the space's letter.
func (s span) within(space byte) (span, bool) {
	cut := span{[]byte{space}, []byte{space + 1}}
	if bytes.Compare(s.start, cut.start) > 0 {
		cut.start = s.start
	}
	if bytes.Compare(s.end, cut.end) < 0 {
		cut.end = s.end
	}
	return cut, bytes.Compare(cut.start, cut.end) < 0
}

// A cursor walks sorted keys. After an error it can be placed anew. *pebble.Iterator is one.
type cursor interface {
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	Next() bool
	Key() []byte
	ValueAndErr() ([]byte, error)
	Error() error
}

// survey visits the keys of a span that can be read, and returns the gaps between them that can't. Errors are those of visit, and what is
// no damage.
func survey(it cursor, all span, visit func(key, value []byte) error) (gaps []span, err error) {
	next := bytes.Clone(all.start)
	for {
		err := walk(it, &next, all.end, visit)
		if e, ok := errors.AsType[errVisit](err); ok {
			return gaps, e.error
		}
		if err == nil || !isDamage(err) {
			return gaps, err
		}
		gap := gapAround(it, next)
		gaps = append(gaps, gap)
		if next = bytes.Clone(gap.end); bytes.Compare(next, all.end) >= 0 {
			return gaps, nil
		}
	}
}

// errVisit marks errors that don't come from what is read.
type errVisit struct{ error }

// walk visits the keys from *next to end, and leaves in *next where to go on.
func walk(it cursor, next *[]byte, end []byte, visit func(key, value []byte) error) error {
	for ok := it.SeekGE(*next); ok && bytes.Compare(it.Key(), end) < 0; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := visit(it.Key(), value); err != nil {
			return errVisit{err}
		}
		*next = append(append((*next)[:0], it.Key()...), 0)
	}
	return it.Error()
}

// edgeSteps bounds the look-ups that find one edge of a gap more exactly.
const edgeSteps = 24

// gapAround returns the keys around at that can't be read, and the last before them that can: who walks on from there, in pebble's own tables, meets the
// damage.
func gapAround(it cursor, at []byte) span {
	gap := span{edgeBelow(it, at), edgeAbove(it, at)}
	if it.SeekLT(gap.start) {
		gap.start = bytes.Clone(it.Key())
	}
	return gap
}

// edgeAbove finds a key above the unreadable one at, and near it, from which on keys can be read: first in strides of 256 times the one before, then by halves.
func edgeAbove(it cursor, at []byte) []byte {
	readable := func(key []byte) bool {
		it.SeekGE(key)
		return it.Error() == nil
	}
	bad, good := at, keysEnd
	for p := len(at); p > 0; p-- {
		key := successor(at[:p])
		if key == nil || bytes.Compare(key, bad) <= 0 {
			continue
		}
		if readable(key) {
			good = key
			break
		}
		bad = key
	}
	return closeIn(bad, good, readable)
}

// edgeBelow finds a key up to at, and near it, before which keys can be read.
func edgeBelow(it cursor, at []byte) []byte {
	readable := func(key []byte) bool {
		it.SeekLT(key)
		return it.Error() == nil
	}
	if readable(at) {
		return at
	}
	bad, good := at, []byte{}
	for p := len(at) - 1; p > 0; p-- {
		if readable(at[:p]) {
			good = at[:p]
			break
		}
		bad = at[:p]
	}
	return closeIn(bad, good, readable)
}

// closeIn returns a readable key near the edge between one that is and one that is not.
func closeIn(bad, good []byte, readable func([]byte) bool) []byte {
	for range edgeSteps {
		low, high := bad, good
		if bytes.Compare(low, high) > 0 {
			low, high = high, low
		}
		key := between(low, high)
		if key == nil {
			break
		}
		if readable(key) {
			good = key
		} else {
			bad = key
		}
	}
	return good
}

// between returns a key about halfway between two, or nil when they are next to one another as far as the first eight bytes in which they differ tell.
func between(low, high []byte) []byte {
	p := 0
	for p < len(low) && p < len(high) && low[p] == high[p] {
		p++
	}
	a, b := window(low, p), window(high, p)
	if b-a < 2 {
		return nil
	}
	return binary.BigEndian.AppendUint64(bytes.Clone(high[:p]), a+(b-a)/2)
}

// window returns the eight bytes of key from p on as a number; what is missing is zero.
func window(key []byte, p int) uint64 {
	var w [8]byte
	copy(w[:], key[min(p, len(key)):])
	return binary.BigEndian.Uint64(w[:])
}
