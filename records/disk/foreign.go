package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/fault"
)

// spaceForeign holds what foreign Kademlia peers put here. Nothing in it is signed, and nothing outside of it is touched for them. Its second byte:
//
//	h  SHA-256 of the key                          who put a value, how large it is and when it ends
//	v  SHA-256 of the key                          the value
//	p  SHA-256 of the key, SHA-256 of the peer id  a provider
const (
	spaceForeign         = 'f'
	foreignHeadSpace     = 'h'
	foreignValueSpace    = 'v'
	foreignProviderSpace = 'p'
)

// ForeignLimits bound the foreign space. What is over a bound is refused with fault.Full; nothing makes room by itself but what has expired.
type ForeignLimits struct {
	// Values and Bytes (of keys and values) bound the values in all, PeerValues and PeerBytes those of one peer.
	Values, PeerValues int
	Bytes, PeerBytes   int64
	// Providers bounds the provider entries in all, PeerProviders those of one peer, KeyProviders those of one key.
	Providers, PeerProviders, KeyProviders int
}

// ForeignUsage is what the foreign space takes, expired entries included until they are swept.
type ForeignUsage struct {
	Values    int
	Bytes     int64
	Providers int
}

func (u *ForeignUsage) add(v ForeignUsage) {
	u.Values += v.Values
	u.Bytes += v.Bytes
	u.Providers += v.Providers
}

func (u *ForeignUsage) subtract(v ForeignUsage) {
	u.Values -= v.Values
	u.Bytes -= v.Bytes
	u.Providers -= v.Providers
}

// Foreign is the part of a Disk that holds the values and providers of foreign peers, with its quota. Its methods may be called from many goroutines.
type Foreign struct {
	d      *Disk
	limits ForeignLimits

	mu    sync.Mutex
	total ForeignUsage          // guarded by mu
	peers map[Hash]ForeignUsage // guarded by mu; by SHA-256 of the peer id
}

// OpenForeign counts what the foreign space of d holds. There is to be one Foreign of a Disk.
func OpenForeign(d *Disk, limits ForeignLimits) (*Foreign, error) {
	f := &Foreign{d: d, limits: limits, peers: map[Hash]ForeignUsage{}}
	err := f.scan(foreignKey(foreignHeadSpace), nil, func(_, value []byte) bool {
		if head, err := unmarshalForeignHead(value); err == nil {
			f.count(head.From, head.usage())
		}
		return true
	})
	if err == nil {
		err = f.scan(foreignKey(foreignProviderSpace), nil, func(key, _ []byte) bool {
			if peer, ok := foreignProviderPeer(key); ok {
				f.count(peer, ForeignUsage{Providers: 1})
			}
			return true
		})
	}
	if err != nil {
		return nil, fmt.Errorf("count the entries of foreign peers: %w", err)
	}
	return f, nil
}

// Usage returns what the space takes now.
func (f *Foreign) Usage() ForeignUsage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// count adds to a peer's usage and to the total.
func (f *Foreign) count(peer Hash, change ForeignUsage) {
	f.total.add(change)
	u := f.peers[peer]
	if u.add(change); u == (ForeignUsage{}) {
		delete(f.peers, peer)
		return
	}
	f.peers[peer] = u
}

// PutValue stores a value in place of the one under its key, whatever that was, and returns once it is synced.
func (f *Foreign) PutValue(ctx context.Context, v ForeignValue) error {
	if err := f.d.room(); err != nil {
		return err
	}
	hash := sha256.Sum256(v.Key)
	head := foreignHead{From: v.From, Expires: v.Expires, Size: uint32(len(v.Key) + len(v.Value))}
	err := f.d.update(ctx, func(tx *tx) error {
		old, found, err := readForeignHead(tx.batch, hash)
		if err != nil {
			return err
		}
		if err := f.exchange(found, &old, &head); err != nil {
			return err
		}
		return errors.Join(
			tx.batch.Set(foreignKey(foreignHeadSpace, hash), head.marshal(), nil),
			tx.batch.Set(foreignKey(foreignValueSpace, hash), v.Marshal(), nil))
	})
	if err != nil {
		return fmt.Errorf("store a foreign value: %w", err)
	}
	return nil
}

// exchange counts a value in place of the one that was found, unless that is over a limit.
func (f *Foreign) exchange(found bool, old, head *foreignHead) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	total, peer := f.total, f.peers[head.From]
	if found {
		total.subtract(old.usage())
		if old.From == head.From {
			peer.subtract(old.usage())
		}
	}
	total.add(head.usage())
	peer.add(head.usage())
	switch {
	case total.Values > f.limits.Values:
		return fault.New(fault.Full, "this node keeps %d values of foreign peers, and has as many", f.limits.Values)
	case total.Bytes > f.limits.Bytes:
		return fault.New(fault.Full, "this node keeps %d bytes of foreign peers, and has no room for %d more", f.limits.Bytes, head.Size)
	case peer.Values > f.limits.PeerValues:
		return fault.New(fault.Full, "this node keeps %d values of one foreign peer, and has as many", f.limits.PeerValues)
	case peer.Bytes > f.limits.PeerBytes:
		return fault.New(fault.Full, "this node keeps %d bytes of one foreign peer, and has no room for %d more", f.limits.PeerBytes, head.Size)
	}
	if found {
		u := ForeignUsage{}
		u.subtract(old.usage())
		f.count(old.From, u)
	}
	f.count(head.From, head.usage())
	return nil
}

// Value returns the value under a key with the given SHA-256, an expired one included. A damaged one is as none.
func (f *Foreign) Value(hash Hash) (v ForeignValue, found bool, err error) {
	data, err := get(f.d.db, foreignKey(foreignValueSpace, hash))
	if err != nil {
		return ForeignValue{}, false, fmt.Errorf("read a foreign value: %w", err)
	}
	if data == nil {
		return ForeignValue{}, false, nil
	}
	if v, err = UnmarshalForeignValue(data); err != nil || sha256.Sum256(v.Key) != hash {
		f.d.damaged("read a foreign value", fmt.Sprintf("%x", hash), errForeign)
		return ForeignValue{}, false, nil
	}
	return v, true, nil
}

// Sweep removes what expired before now, in milliseconds since the Unix epoch, and what is damaged. It returns how many entries it removed.
func (f *Foreign) Sweep(ctx context.Context, now uint64) (removed int, err error) {
	values, err := f.sweep(ctx, foreignHeadSpace, func(value []byte) bool {
		head, err := unmarshalForeignHead(value)
		return err != nil || head.Expires <= now
	}, f.dropValue)
	if err != nil {
		return values, fmt.Errorf("sweep foreign values: %w", err)
	}
	providers, err := f.sweep(ctx, foreignProviderSpace, func(value []byte) bool {
		p, err := UnmarshalForeignProvider(value)
		return err != nil || p.Expires <= now
	}, f.dropProvider)
	if err != nil {
		return values + providers, fmt.Errorf("sweep foreign providers: %w", err)
	}
	return values + providers, nil
}

func (f *Foreign) dropValue(b *pebble.Batch, key []byte) error {
	if value, err := get(b, key); err != nil {
		return err
	} else if head, err := unmarshalForeignHead(value); err == nil {
		u := ForeignUsage{}
		u.subtract(head.usage())
		f.mu.Lock()
		defer f.mu.Unlock()
		f.count(head.From, u)
	}
	value := append([]byte{spaceForeign, foreignValueSpace}, key[2:]...)
	return errors.Join(b.Delete(key, nil), b.Delete(value, nil))
}

// sweep drops what is due in a part of the space, chunk by chunk.
func (f *Foreign) sweep(ctx context.Context, part byte, due func(value []byte) bool, drop func(*pebble.Batch, []byte) error) (removed int, err error) {
	from := []byte{spaceForeign, part}
	for from != nil {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		var keys [][]byte
		from, err = f.collect(part, from, due, &keys)
		if err != nil {
			return removed, err
		}
		if len(keys) == 0 {
			continue
		}
		if err := f.d.update(ctx, func(tx *tx) error { return dropDue(tx.batch, keys, due, drop) }); err != nil {
			return removed, err
		}
		removed += len(keys)
	}
	return removed, nil
}

// collect appends to keys up to sweepChunk keys that are due, and returns where to go on, which is nil at the end.
func (f *Foreign) collect(part byte, from []byte, due func(value []byte) bool, keys *[][]byte) (next []byte, err error) {
	err = f.scan(foreignKey(part), from, func(key, value []byte) bool {
		if len(*keys) == sweepChunk {
			next = bytes.Clone(key)
			return false
		}
		if due(value) {
			*keys = append(*keys, bytes.Clone(key))
		}
		return true
	})
	return next, err
}

// dropDue drops the entries that are still due; what was renewed since they were collected stays.
func dropDue(b *pebble.Batch, keys [][]byte, due func(value []byte) bool, drop func(*pebble.Batch, []byte) error) error {
	for _, key := range keys {
		value, err := get(b, key)
		if err == nil && value != nil && due(value) {
			err = drop(b, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scan calls visit for the entries under a prefix, beginning at from, until it returns false. Key and value are valid during the call.
func (f *Foreign) scan(prefix, from []byte, visit func(key, value []byte) bool) error {
	it, err := f.d.iterate(prefix)
	if err != nil {
		return err
	}
	for ok := it.SeekGE(from); ok && visit(it.Key(), it.Value()); ok = it.Next() {
	}
	return it.Close()
}

func foreignKey(part byte, hashes ...Hash) []byte {
	key := append(make([]byte, 0, 2+2*len(Hash{})), spaceForeign, part)
	for _, h := range hashes {
		key = append(key, h[:]...)
	}
	return key
}

func readForeignHead(r pebble.Reader, hash Hash) (head foreignHead, found bool, err error) {
	data, err := get(r, foreignKey(foreignHeadSpace, hash))
	if err != nil || data == nil {
		return foreignHead{}, false, err
	}
	if head, err = unmarshalForeignHead(data); err != nil {
		return foreignHead{}, false, nil // replaced by what comes; it was not counted when the space was opened
	}
	return head, true, nil
}
