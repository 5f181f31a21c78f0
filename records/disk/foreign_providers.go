package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/folkmoot/folkmoot/fault"
)

// PutProvider stores a provider of the key with the given SHA-256, in place of an older entry of the same peer. Entries of the key that expired before now, in
// milliseconds since the Unix epoch, make room.
func (f *Foreign) PutProvider(ctx context.Context, hash Hash, p ForeignProvider, now uint64) error {
	if err := f.d.room(); err != nil {
		return err
	}
	peer := Hash(sha256.Sum256([]byte(p.ID)))
	key := foreignKey(foreignProviderSpace, hash, peer)
	err := f.d.update(ctx, func(tx *tx) error {
		old, err := get(tx.batch, key)
		if err != nil {
			return err
		}
		if old == nil {
			if err := f.makeRoom(tx.batch, hash, now); err != nil {
				return err
			}
			if err := f.addProvider(peer); err != nil {
				return err
			}
		}
		return tx.batch.Set(key, p.Append(nil), nil)
	})
	if err != nil {
		return fmt.Errorf("store a foreign provider: %w", err)
	}
	return nil
}

// makeRoom removes the expired providers of a key, and refuses one more where there are too many still.
func (f *Foreign) makeRoom(b *pebble.Batch, hash Hash, now uint64) error {
	prefix := foreignKey(foreignProviderSpace, hash)
	it, err := b.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return err
	}
	var due [][]byte
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if p, err := UnmarshalForeignProvider(it.Value()); err != nil || p.Expires <= now {
			due = append(due, bytes.Clone(it.Key()))
			continue
		}
		n++
	}
	if err := it.Close(); err != nil {
		return err
	}
	for _, k := range due {
		if err := f.dropProvider(b, k); err != nil {
			return err
		}
	}
	if n >= f.limits.KeyProviders {
		return fault.New(fault.Full, "this node keeps %d foreign providers of one key, and has as many", f.limits.KeyProviders)
	}
	return nil
}

func (f *Foreign) addProvider(peer Hash) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.total.Providers >= f.limits.Providers:
		return fault.New(fault.Full, "this node keeps %d foreign providers, and has as many", f.limits.Providers)
	case f.peers[peer].Providers >= f.limits.PeerProviders:
		return fault.New(fault.Full, "this node keeps %d keys of one foreign provider, and has as many", f.limits.PeerProviders)
	}
	f.count(peer, ForeignUsage{Providers: 1})
	return nil
}

func (f *Foreign) dropProvider(b *pebble.Batch, key []byte) error {
	if peer, ok := foreignProviderPeer(key); ok {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.count(peer, ForeignUsage{Providers: -1})
	}
	return b.Delete(key, nil)
}

// Providers returns up to limit providers of the key with the given SHA-256, those left out that expired before now.
func (f *Foreign) Providers(hash Hash, now uint64, limit int) (providers []ForeignProvider, err error) {
	err = f.scan(foreignKey(foreignProviderSpace, hash), nil, func(key, value []byte) bool {
		p, err := UnmarshalForeignProvider(bytes.Clone(value))
		if peer, ok := foreignProviderPeer(key); err != nil || !ok || sha256.Sum256([]byte(p.ID)) != peer {
			f.d.damaged("list foreign providers", fmt.Sprintf("%x", hash), errForeign)
		} else if p.Expires > now {
			providers = append(providers, p)
		}
		return len(providers) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("list foreign providers: %w", err)
	}
	return providers, nil
}

func foreignProviderPeer(key []byte) (peer Hash, ok bool) {
	const at = 2 + len(Hash{})
	if len(key) != at+len(peer) {
		return peer, false
	}
	return Hash(key[at:]), true
}
