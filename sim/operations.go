package sim

import (
	"context"

	"github.com/folkmoot/folkmoot/records"
)

// Put writes a record through the peer. See records.Store.Put; the error is ErrDown when the peer does not run or loses its power before it answers.
func (p *Peer) Put(ctx context.Context, key string, value []byte, opts records.PutOptions) (records.Written, error) {
	l := p.current()
	if l == nil {
		return records.Written{}, ErrDown
	}
	w, err := l.store.Put(ctx, key, value, opts)
	return w, l.outcome(err)
}

// Delete deletes a record through the peer, as Put writes one.
func (p *Peer) Delete(ctx context.Context, key string, opts records.PutOptions) (records.Written, error) {
	l := p.current()
	if l == nil {
		return records.Written{}, ErrDown
	}
	w, err := l.store.Delete(ctx, key, opts)
	return w, l.outcome(err)
}

// Get reads a record through the peer, as Put writes one.
func (p *Peer) Get(ctx context.Context, key string, opts records.GetOptions) (records.Record, error) {
	l := p.current()
	if l == nil {
		return records.Record{}, ErrDown
	}
	r, err := l.store.Get(ctx, key, opts)
	return r, l.outcome(err)
}
