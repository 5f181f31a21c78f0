package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// MaxProviders bounds the provider records of one key. Over the bound those stay whose peers' hashes are nearest to the key's by XOR, whatever the order
// in which they came.
const MaxProviders = 1024

func distance(a, b Hash) (d Hash) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}

// PutProvider stores a provider record unless there is one of that peer of the same or a greater rank. It returns whether the peer's record
// is on the disk afterwards: false means that the key has MaxProviders nearer ones. Records that expired before now, in milliseconds since the Unix epoch, make room.
func (d *Disk) PutProvider(ctx context.Context, hash Hash, p Provider, now uint64) (bool, error) {
	if err := d.room(); err != nil {
		return false, err
	}
	kept := new(bool) // read only after update says that the committer is done with it
	err := d.update(ctx, func(tx *tx) error {
		key := providerKey(hash, distance(hash, p.Peer))
		old, found, err := readProvider(tx.batch, key)
		if err != nil {
			d.damaged("replace a damaged provider record", fmt.Sprintf("%x", hash), err)
		}
		*kept = true
		if found && old.Rank.Compare(p.Rank) >= 0 {
			return nil
		}
		if !found {
			if *kept, err = makeRoom(tx.batch, hash, key, now); err != nil || !*kept {
				return err
			}
		}
		return tx.batch.Set(key, p.marshal(), nil)
	})
	if err != nil {
		return false, fmt.Errorf("store a provider record: %w", err)
	}
	return *kept, nil
}

func readProvider(r pebble.Reader, key []byte) (Provider, bool, error) {
	data, err := get(r, key)
	if err != nil || data == nil {
		return Provider{}, false, err
	}
	p, err := unmarshalProvider(data)
	return p, err == nil, err
}

// makeRoom removes the expired provider records of a key and, where there are too many still, the farthest. It returns false and changes nothing else when the new
// one would be the farthest of too many.
func makeRoom(b *pebble.Batch, hash Hash, key []byte, now uint64) (bool, error) {
	prefix := providersPrefix(hash)
	it, err := b.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return false, err
	}
	var farthest []byte
	var expired [][]byte
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		p, err := unmarshalProvider(it.Value())
		if err != nil || p.Expires <= now {
			expired = append(expired, append([]byte(nil), it.Key()...))
			continue
		}
		n++
		farthest = append(farthest[:0], it.Key()...)
	}
	if err := it.Close(); err != nil {
		return false, err
	}
	for _, k := range expired {
		if err := b.Delete(k, nil); err != nil {
			return false, err
		}
	}
	if n < MaxProviders {
		return true, nil
	}
	if string(key) > string(farthest) {
		return false, nil
	}
	return true, b.Delete(farthest, nil)
}

// Providers returns the provider records of a key, nearest first, expired ones included.
func (d *Disk) Providers(hash Hash) ([]Provider, error) {
	prefix := providersPrefix(hash)
	it, err := d.iterate(prefix)
	if err != nil {
		return nil, fmt.Errorf("list the providers: %w", err)
	}
	var providers []Provider
	for ok := it.First(); ok && len(providers) < MaxProviders; ok = it.Next() {
		if len(it.Key()) != len(prefix)+len(Hash{}) {
			continue
		}
		p, err := unmarshalProvider(append([]byte(nil), it.Value()...))
		if err != nil {
			d.damaged("list providers", fmt.Sprintf("%x", hash), err)
			continue
		}
		p.Peer = distance(hash, Hash(it.Key()[len(prefix):]))
		providers = append(providers, p)
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("list the providers: %w", err)
	}
	return providers, nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	return err
}
