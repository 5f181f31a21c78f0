package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// A mending repairs the store around gaps, which are keys that can't be read. Pebble can neither iterate over a damaged block nor compact it, even where newer versions
// hide what is in it. So the gap is cut out of the files, and what newer versions of its keys can be looked up one by one is put back. What is lost then is absent in every
// respect: in the digests, the lists and the order of changes.
type mending struct {
	d    *Disk
	gaps []span
	// keep are the gaps' keys that can be read.
	keep map[string][]byte
	// traces are what the order of changes and the list of keys know of records whose heads are in a gap.
	traces map[Hash]*trace
	// halves are the records whose envelopes only are lost.
	halves []Hash
	// resumed says that a mending before this one was cut off: what it cut out and did not put back is not known any more.
	resumed bool
}

type trace struct {
	keys      []string
	sequences []uint64
}

// mend is called by the committer, or before there is one.
func (d *Disk) mend(gaps []span) error {
	m := &mending{d: d, gaps: gaps, keep: map[string][]byte{}, traces: map[Hash]*trace{}, resumed: d.cutOff()}
	for _, s := range m.shards() {
		d.damage.set(s) // before anything is missing
	}
	if err := errors.Join(m.settle(), m.rescueEdges(), m.rescueHeads(), m.rescueEnvelopes(), m.rescueMeta(), m.begin()); err != nil {
		return fmt.Errorf("look for what is left of damaged records: %w", err)
	}
	for _, gap := range m.gaps {
		if err := d.db.Excise(context.Background(), pebble.KeyRange{Start: gap.start, End: gap.end}); err != nil {
			return fmt.Errorf("cut out what is damaged: %w", err)
		}
	}
	if err := errors.Join(m.restore(), m.index(), d.recount(m.wanted())); err != nil {
		return fmt.Errorf("mend what was damaged: %w", err)
	}
	d.logger.Warn("record store: damaged records were dropped, other holders bring them back", "dir", d.dir,
		"gaps", len(m.gaps), "lost", len(m.traces)+len(m.halves), "shards", len(m.shards()))
	return nil
}

// cutOff reports whether a mending has begun and not come to its end. It is called by the committer, or before there is one.
func (d *Disk) cutOff() bool { return d.totals.records == unknownRecords }

// shards returns those that have heads or envelopes in a gap.
func (m *mending) shards() []Shard {
	found := map[Shard]bool{}
	for _, gap := range m.gaps {
		for _, space := range []byte{spaceHead, spaceEnvelope} {
			cut, ok := gap.within(space)
			if !ok {
				continue
			}
			for s := shardOfKey(cut.start); s < Shards; s++ {
				if start, _ := s.bounds(space); bytes.Compare(start, cut.end) >= 0 {
					break
				}
				found[s] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (m *mending) wanted() *[Shards]bool {
	wanted := new([Shards]bool)
	for _, s := range m.shards() {
		wanted[s] = true
	}
	return wanted
}

// shardOfKey returns the shard of a key, perhaps a short one, of a space that is ordered by hash.
func shardOfKey(key []byte) Shard {
	var h Hash
	copy(h[:], key[1:])
	return ShardOf(h)
}

func (m *mending) lost(key []byte) bool {
	return slices.ContainsFunc(m.gaps, func(gap span) bool { return gap.contains(key) })
}

// missing reports whether key is in a gap, or may have been in one of a mending that was cut off.
func (m *mending) missing(key []byte) bool {
	if m.lost(key) || !m.resumed {
		return m.lost(key)
	}
	value, err := get(m.d.db, key)
	return err == nil && value == nil // what can't be read is in a gap that is found when it is used
}

func (m *mending) touches(spaces ...byte) bool {
	return slices.ContainsFunc(m.gaps, func(gap span) bool {
		return slices.ContainsFunc(spaces, func(space byte) bool {
			_, ok := gap.within(space)
			return ok
		})
	})
}

// settle finds the edges anew where they have moved since the gaps were found: pebble drops what lies beyond an edge that can't be read.
func (m *mending) settle() error {
	it, err := m.d.db.NewIter(nil)
	if err != nil {
		return err
	}
	for i := range m.gaps {
		gap := &m.gaps[i]
		gap.start = edgeBelow(it, gap.start)
		if it.SeekGE(gap.end); it.Error() != nil {
			gap.end = edgeAbove(it, gap.end)
		}
	}
	_ = it.Close() // returns the damage that was met last
	return nil
}

// rescue keeps what is under key if it can be read and accept takes it, and reports whether it did.
func (m *mending) rescue(key []byte, accept func([]byte) bool) (bool, error) {
	value, err := get(m.d.db, key)
	if err != nil && !isDamage(err) {
		return false, err
	}
	if err != nil || value == nil || !accept(value) {
		return false, nil
	}
	m.keep[string(key)] = value
	return true, nil
}

// rescueEdges keeps the keys with which gaps start, which can be read.
func (m *mending) rescueEdges() error {
	for _, gap := range m.gaps {
		if _, err := m.rescue(gap.start, func([]byte) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

// rescueHeads looks up the heads in gaps by what else names them.
func (m *mending) rescueHeads() error {
	if !m.touches(spaceHead) && !m.resumed {
		return nil
	}
	traceOf := func(hash []byte) *trace {
		if len(hash) != len(Hash{}) || !m.missing(headKey(Hash(hash))) {
			return &trace{} // of no interest
		}
		t := m.traces[Hash(hash)]
		if t == nil {
			t = &trace{}
			m.traces[Hash(hash)] = t
		}
		return t
	}
	err := m.walk(spaceChange, func(key, hash []byte) error {
		if t := traceOf(hash); len(key) == len(changeKey(0)) {
			t.sequences = append(t.sequences, binary.BigEndian.Uint64(key[1:]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = m.walk(spaceKey, func(key, hash []byte) error {
		t := traceOf(hash)
		t.keys = append(t.keys, string(key))
		return nil
	})
	if err != nil {
		return err
	}
	for hash := range m.traces {
		whole := func(value []byte) bool {
			_, err := unmarshalHead(value)
			return err == nil
		}
		kept, err := m.rescue(headKey(hash), whole)
		if err != nil {
			return err
		}
		if kept {
			delete(m.traces, hash)
		}
	}
	return nil
}

// walk visits what can be read of a space.
func (m *mending) walk(space byte, visit func(key, value []byte) error) error {
	_, err := surveyDB(m.d.db, span{[]byte{space}, []byte{space + 1}}, visit)
	return err
}

// rescueEnvelopes looks up the envelopes in gaps of all heads that there are.
func (m *mending) rescueEnvelopes() error {
	if !m.touches(spaceEnvelope) && !m.resumed {
		return nil
	}
	look := func(key, value []byte) error {
		head, err := unmarshalHead(value)
		if err != nil || len(key) != 1+len(Hash{}) || !m.missing(envelopeKey(Hash(key[1:]))) {
			return nil
		}
		hash := Hash(key[1:])
		kept, err := m.rescue(envelopeKey(hash), func(value []byte) bool {
			sequence, _, err := splitEnvelope(value)
			return err == nil && sequence == head.Sequence
		})
		if !kept {
			m.halves = append(m.halves, hash)
		}
		return err
	}
	for key, value := range maps.Clone(m.keep) {
		if key[0] == spaceHead {
			if err := look([]byte(key), value); err != nil {
				return err
			}
		}
	}
	return m.walk(spaceHead, func(key, value []byte) error {
		if m.lost(key) {
			return nil // seen among those kept
		}
		return look(key, value)
	})
}

// rescueMeta keeps the store's own facts, but for those that begin writes. Notes are lost: what the layer above knew may not hold any more.
func (m *mending) rescueMeta() error {
	for _, name := range []string{metaFormat, metaNetwork, metaEpoch, metaClock} {
		if key := metaKey(name); m.lost(key) {
			if _, err := m.rescue(key, func([]byte) bool { return true }); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin notes what is damaged before anything is cut, so that a crash does not hide it: the number of records is unknown until all is done.
func (m *mending) begin() error {
	t := m.d.newTx()
	t.totals.records = unknownRecords
	if err := m.note(t); err != nil {
		return err
	}
	return m.d.commit(t)
}

// note writes what tells of the mending until it is done. A gap may have these facts in it.
func (m *mending) note(t *tx) error {
	return errors.Join(
		t.records.Set(metaKey(metaDamage), m.d.damage.marshal(), nil),
		t.records.Set(metaKey(metaTotals), t.totals.marshal(), nil))
}

// restore puts back what was kept and removes what is left of records that are lost.
func (m *mending) restore() error {
	t := m.d.newTx()
	if err := m.note(t); err != nil {
		return err
	}
	for key, value := range m.keep {
		if err := t.records.Set([]byte(key), value, nil); err != nil {
			return err
		}
	}
	for hash, trace := range m.traces {
		err := t.records.Delete(envelopeKey(hash), nil)
		for _, key := range trace.keys {
			err = errors.Join(err, t.records.Delete([]byte(key), nil))
		}
		for _, sequence := range trace.sequences {
			err = errors.Join(err, t.records.SingleDelete(changeKey(sequence), nil))
		}
		if err != nil {
			return err
		}
	}
	if err := m.d.commit(t); err != nil {
		return err
	}
	t = m.d.newTx() // which sees what was put back
	for _, hash := range m.halves {
		if _, err := t.remove(hash, func(*Head) bool { return true }); err != nil {
			return err
		}
	}
	return m.d.commit(t)
}

// index makes the list of keys and the order of changes anew from the heads, where they were cut.
func (m *mending) index() error {
	if !m.touches(spaceKey, spaceChange) && !m.resumed {
		return nil
	}
	t := m.d.newTx()
	err := m.walk(spaceHead, func(key, value []byte) error {
		head, err := unmarshalHead(value)
		if err != nil || len(key) != 1+len(Hash{}) {
			return nil
		}
		for _, k := range [][]byte{nameKey(head.Key), changeKey(head.Sequence)} {
			if m.missing(k) {
				if err := t.records.Set(k, key[1:], nil); err != nil {
					return err
				}
			}
		}
		if t.records.Len() < maxGroupBytes {
			return nil
		}
		err = m.d.commit(t)
		t = m.d.newTx()
		return err
	})
	return errors.Join(err, m.d.commit(t))
}
