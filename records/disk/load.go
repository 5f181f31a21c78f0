package disk

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A census is what a look at all heads tells.
type census struct {
	live, records int64
	unreadable    []Hash // of heads that are no heads
	gaps          []span // what could not be read
}

// takeCensus looks at all heads, and adds the records of the wanted shards, or of all, to the digests. It reads other spaces along, to find what is damaged there; neither the
// envelopes, which are too many, nor the order of changes: damage there is found when it is used.
func (d *Disk) takeCensus(db *pebble.DB, wanted *[Shards]bool) (c census, err error) {
	c.gaps, err = surveyDB(db, span{[]byte{spaceForeign}, keysEnd}, func(key, value []byte) error {
		if key[0] != spaceHead || len(key) != 1+len(Hash{}) {
			return nil
		}
		c.records++
		hash := Hash(key[1:])
		head, err := unmarshalHead(value)
		if err != nil {
			c.unreadable = append(c.unreadable, hash)
			return nil
		}
		c.live += liveness(&head)
		if wanted == nil || wanted[ShardOf(hash)] {
			d.tally.load(&hash, &head.Rank)
		}
		return nil
	})
	if err != nil {
		return census{}, fmt.Errorf("read the heads of the records: %w", err)
	}
	return c, nil
}

// settle makes the open store one in which all can be read of which the census of all shards says that it can't, and ends a mending that was cut off.
func (d *Disk) settle(c census) error {
	d.count.Store(c.live)
	if err := d.dropUnreadable(c.unreadable); err != nil {
		return err
	}
	if len(c.gaps) == 0 && !d.cutOff() {
		return nil
	}
	if err := d.mend(c.gaps); err != nil {
		return err
	}
	return d.mendSpan(span{[]byte{spaceForeign}, keysEnd}, d.mend)
}

// recount takes a census, and makes the digests of the wanted shards anew, or all.
func (d *Disk) recount(wanted *[Shards]bool) error {
	if wanted == nil {
		d.tally.clear()
	} else {
		for s := range wanted {
			if wanted[s] {
				d.tally.reset(Shard(s))
			}
		}
	}
	c, err := d.takeCensus(d.db, wanted)
	if err != nil {
		return err
	}
	d.count.Store(c.live)
	t := d.newTx()
	t.totals.records = uint64(c.records)
	return errors.Join(d.commit(t), d.dropUnreadable(c.unreadable))
}

// dropUnreadable removes records whose heads are no heads, so that other holders bring them back.
func (d *Disk) dropUnreadable(hashes []Hash) error {
	if len(hashes) == 0 {
		return nil
	}
	t := d.newTx()
	for _, hash := range hashes {
		d.damaged("read a record's head", fmt.Sprintf("%x", hash), errHead)
		d.damage.set(ShardOf(hash))
		t.totals.add(-1)
		if err := errors.Join(t.records.Delete(headKey(hash), nil), t.records.Delete(envelopeKey(hash), nil)); err != nil {
			return err
		}
	}
	if err := t.records.Set(metaKey(metaDamage), d.damage.marshal(), nil); err != nil {
		return err
	}
	return d.commit(t)
}
