package disk

import (
	"math"
	"sync"
	"time"
)

const (
	// asOfHorizon is how far back digests are told.
	asOfHorizon = 2 * time.Minute
	// maxLogged bounds the changes that are kept to tell digests of a moment ago: about 80 bytes each.
	maxLogged = 1 << 16
	// tallyChunk is how many shards' figures are allocated at once.
	tallyChunk = 64
	// counterBits are the lower bits of a hybrid time, below its milliseconds.
	counterBits = 16
)

// A step is one record's way from one version to the next, as it is added to the shard's digest.
type step struct {
	hash    [16]byte // the beginning of the key's
	sum     Digest   // of the new version XOR of the one before
	records int32
	time    uint64 // of the new version
}

// shardTally is what is known of one shard.
type shardTally struct {
	now ShardDigest
	// steps are the latest, in the order in which they were made. A record's times never go back from one step to the next, so that as of a time exactly
	// those of its steps count whose times are not later.
	steps []step
	// floor is the greatest time of the steps that are forgotten: as of an earlier one the digest is not known.
	floor uint64
}

// logged is an entry of the queue in which steps wait to be forgotten.
type logged struct {
	shard   Shard
	expires uint64 // hybrid time
}

// A tally keeps the digests of all shards in memory. Its size follows the shards that have records.
type tally struct {
	mu     sync.Mutex
	chunks [Shards / tallyChunk]*[tallyChunk]shardTally // guarded by mu
	log    []logged                                     // guarded by mu; in the order of steps
}

// at returns the shard's figures to be changed. It is called with mu held.
func (t *tally) at(s Shard) *shardTally {
	chunk := &t.chunks[s/tallyChunk]
	if *chunk == nil {
		*chunk = new([tallyChunk]shardTally)
	}
	return &(*chunk)[s%tallyChunk]
}

// peek returns the shard's figures, or nil when nothing was ever noted. It is called with mu held.
func (t *tally) peek(s Shard) *shardTally {
	if chunk := t.chunks[s/tallyChunk]; chunk != nil {
		return &chunk[s%tallyChunk]
	}
	return nil
}

// load counts a record that was there when the store was opened.
func (t *tally) load(hash *Hash, rank *Rank) {
	sum := digestOf(hash, rank)
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.at(ShardOf(*hash))
	f.now.Sum.xor(&sum)
	f.now.Records++
	f.floor = max(f.floor, rank.Time())
}

// clear makes all shards ones without records.
func (t *tally) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.chunks[:])
	t.log = nil
}

// reset makes a shard one without records, whose digests of the past are not known.
func (t *tally) reset(s Shard) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.at(s)
	for i := range f.steps {
		f.floor = max(f.floor, f.steps[i].time)
		f.steps[i] = step{}
	}
	f.now = ShardDigest{}
}

// A delta is the change of one record: from old to new, where nil is none.
type delta struct {
	hash     Hash
	old, new Rank
	had, has bool
}

// apply counts committed changes. now is in milliseconds since the Unix epoch.
func (t *tally) apply(deltas []delta, now uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range deltas {
		t.change(&deltas[i], now)
	}
	t.forget(now)
}

func (t *tally) change(c *delta, now uint64) {
	f := t.at(ShardOf(c.hash))
	s := step{hash: [16]byte(c.hash[:]), time: c.new.Time()}
	if c.had {
		s.sum = digestOf(&c.hash, &c.old)
		s.records--
	}
	if c.has {
		sum := digestOf(&c.hash, &c.new)
		s.sum.xor(&sum)
		s.records++
	}
	f.now.Sum.xor(&s.sum)
	f.now.Records += uint32(s.records)
	if !c.has {
		f.erase(&c.hash)
		return
	}
	f.steps = append(f.steps, s)
	arrived := now << counterBits
	t.log = append(t.log, logged{ShardOf(c.hash), add(max(s.time, arrived), uint64(asOfHorizon.Milliseconds())<<counterBits)})
}

// erase makes a removed record one that never was.
func (f *shardTally) erase(hash *Hash) {
	for i := range f.steps {
		if s := &f.steps[i]; s.hash == [16]byte(hash[:]) {
			s.sum, s.records = Digest{}, 0
		}
	}
}

// forget drops steps that are too old or too many. It is called with mu held.
func (t *tally) forget(now uint64) {
	n := 0
	for n < len(t.log) && (len(t.log)-n > maxLogged || t.log[n].expires < now<<counterBits) {
		f := t.at(t.log[n].shard)
		f.floor = max(f.floor, f.steps[0].time)
		f.steps = f.steps[1:]
		n++
	}
	t.log = t.log[n:]
}

func add(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// digest returns the shard's digest as of a hybrid time.
func (t *tally) digest(s Shard, asOf uint64) (ShardDigest, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.peek(s)
	if f == nil {
		return ShardDigest{}, true
	}
	if asOf < f.floor {
		return ShardDigest{}, false
	}
	d := f.now
	for i := range f.steps {
		if s := &f.steps[i]; s.time > asOf {
			d.Sum.xor(&s.sum)
			d.Records -= uint32(s.records)
		}
	}
	return d, true
}

// Digest returns the shard's digest as of a hybrid time: only versions that were written by then count, and where one was replaced by a later one, the one
// replaced. Removed records count at no time. It is not known when asOf is so far back, or so much has changed since, that it can't be told.
func (d *Disk) Digest(s Shard, asOf uint64) (digest ShardDigest, known bool) {
	return d.tally.digest(s, asOf)
}

// Records returns how many records the shard has, tombstones included.
func (d *Disk) Records(s Shard) int {
	d.tally.mu.Lock()
	defer d.tally.mu.Unlock()
	if f := d.tally.peek(s); f != nil {
		return int(f.now.Records)
	}
	return 0
}

// Occupied returns the shards that have records, tombstones included, in ascending order.
func (d *Disk) Occupied() (shards []Shard) {
	d.tally.mu.Lock()
	defer d.tally.mu.Unlock()
	for i, chunk := range d.tally.chunks {
		if chunk == nil {
			continue
		}
		for j := range chunk {
			if chunk[j].now.Records > 0 {
				shards = append(shards, Shard(i*tallyChunk+j))
			}
		}
	}
	return shards
}
