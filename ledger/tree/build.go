package tree

import (
	"bytes"
	"iter"

	"github.com/folkmoot/folkmoot/fault"
)

// buildWindow is how many entries Build reads ahead; more than a bucket holds.
const buildWindow = 1024

// Build makes the tree of all entries, which come sorted by key and have each key once, and returns its root. It hands each page to write once, the same pages
// that updates would have led to; key and page are good during the call. Memory is bounded: some pages, and a window of the entries. An error that comes
// with an entry, or from write, ends it; entries out of order, or without a value, are an error of kind Invalid.
func Build(entries iter.Seq2[Entry, error], write func(key, page []byte) error) (Hash, error) {
	next, stop := iter.Pull2(entries)
	defer stop()
	b := &builder{next: next}
	key, room := make([]byte, 0, maxPageKey), make([]byte, 0, maxPage)
	b.grow.put = func(at place, p *page) error { return write(at.appendKey(key), p.append(room)) }
	return b.grow.whole(b.subtree)
}

// A builder has the entries that are still to come.
type builder struct {
	grow   grower
	next   func() (Entry, error, bool)
	ended  bool
	begun  bool
	last   Hash    // the key of the last entry read, once begun
	window []Entry // read ahead
}

// subtree adds the subtree at a place, whose entries are the next.
func (b *builder) subtree(br *branch, at place) (stem, error) {
	if b.reaches(&at) {
		if err := b.fill(); err != nil {
			return stem{}, err
		}
	}
	if b.reaches(&at) { // the window is full, so that there is more than a bucket
		return b.grow.join(br, at, false, b.subtree)
	}
	count := 0
	for count < len(b.window) && at.holds(&b.window[count].Key) {
		count++
	}
	own := b.window[:count]
	b.window = b.window[count:]
	return b.grow.plant(br, at, false, own)
}

// reaches reports whether more entries than are in the window may belong to the place.
func (b *builder) reaches(at *place) bool {
	return !b.ended && (len(b.window) == 0 || at.holds(&b.window[len(b.window)-1].Key))
}

// fill reads ahead. The entries read before stay where they are.
func (b *builder) fill() error {
	if len(b.window) == buildWindow {
		return nil
	}
	b.window = append(make([]Entry, 0, buildWindow), b.window...)
	for len(b.window) < buildWindow {
		e, err, ok := b.next()
		if err != nil {
			return err
		}
		if !ok {
			b.ended = true
			return nil
		}
		if e.Value == (Hash{}) {
			return fault.New(fault.Invalid, "entry %x of the tree has no value", e.Key)
		}
		if b.begun && bytes.Compare(b.last[:], e.Key[:]) >= 0 {
			return fault.New(fault.Invalid, "entry %x of the tree is out of order", e.Key)
		}
		b.begun, b.last = true, e.Key
		b.window = append(b.window, e)
	}
	return nil
}
