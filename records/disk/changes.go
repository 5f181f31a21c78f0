package disk

import (
	"encoding/binary"
	"fmt"
)

// maxChangesScanned bounds the changes that one call of Changes looks at.
const maxChangesScanned = 4096

// A Change is a record as this disk last took it; Head.Sequence is its place in the order of changes.
type Change struct {
	Hash Hash
	Head Head
}

// Changes returns up to limit records that this disk took after the given sequence, in the order in which it last took them: a record that is written again moves to
// the end. Only heads that match are returned; a nil match takes all. One call looks at a bounded number of records, so that it may return none though there are some:
// go on after next, until next is LastSequence. Sequences are those of this store's Epoch.
func (d *Disk) Changes(after uint64, limit int, match func(*Head) bool) (changes []Change, next uint64, err error) {
	last := d.LastSequence() // whatever is up to here is seen by an iterator that is made later
	it, err := d.iterate([]byte{spaceChange})
	if err != nil {
		return nil, after, fmt.Errorf("list the changes: %w", err)
	}
	next = after
	scanned, ended := 0, true
	for ok := it.SeekGE(changeKey(after + 1)); ok; ok = it.Next() {
		if len(changes) == limit || scanned == maxChangesScanned {
			ended = false
			break
		}
		scanned++
		if len(it.Key()) != 9 || len(it.Value()) != len(Hash{}) {
			continue
		}
		next = binary.BigEndian.Uint64(it.Key()[1:])
		hash := Hash(it.Value())
		head, found, err := d.Head(hash)
		if err != nil || !found || head.Sequence != next {
			continue // damaged, or written again meanwhile and so to be met later
		}
		if match == nil || match(&head) {
			changes = append(changes, Change{hash, head})
		}
	}
	if err := d.end(it, span{[]byte{spaceChange}, []byte{spaceChange + 1}}); err != nil {
		return nil, after, fmt.Errorf("list the changes: %w", err)
	}
	if ended {
		next = max(next, last)
	}
	return changes, next, nil
}

// LastSequence returns the sequence of the newest change, or 0. It never goes back, though the record may be gone.
func (d *Disk) LastSequence() uint64 { return d.sequence.Load() }

// Changed returns a channel that is closed at the next commit of records. Take it before Changes, so that nothing falls between the two.
func (d *Disk) Changed() <-chan struct{} {
	d.changedMu.Lock()
	defer d.changedMu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

func (d *Disk) announce() {
	d.changedMu.Lock()
	defer d.changedMu.Unlock()
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}
