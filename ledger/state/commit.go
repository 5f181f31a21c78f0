package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

// Pending is a block that is ready to be committed on the block that it was prepared for.
type Pending struct {
	block  *Block
	update *tree.Update
	on     Tip
	tip    Tip
}

// Tip returns what the store's will be: Root is what is to be voted on.
func (p *Pending) Tip() Tip { return p.tip }

// Prepare computes what a block leads to from the last one. It writes nothing: several may be prepared, and one committed. It is fault.Invalid for what can't follow.
func (s *Store) Prepare(b *Block) (*Pending, error) {
	v := s.View()
	p, err := v.prepare(b)
	return p, errors.Join(err, v.Close())
}

func (v *View) prepare(b *Block) (*Pending, error) {
	if empty := v.Tip == (Tip{}); b.Height < 0 || b.Height <= v.Tip.Height && !empty || b.Time < v.Tip.Time {
		return nil, fault.New(fault.Invalid, "block %d of time %d can't follow block %d of time %d", b.Height, b.Time, v.Tip.Height, v.Tip.Time)
	}
	if len(b.Transactions) != len(b.Results) {
		return nil, fault.New(fault.Invalid, "block %d has %d transactions and %d results", b.Height, len(b.Transactions), len(b.Results))
	}
	entries := make([]tree.Entry, len(b.Changes))
	for i, c := range b.Changes {
		entries[i] = tree.Entry{Key: tree.HashKey(c.Key)}
		if c.Value != nil {
			entries[i].Value = tree.HashValue(c.Value)
		}
	}
	tree.Sort(entries)
	update, err := v.tree.Update(entries)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", b.Height, err)
	}
	return &Pending{block: b, update: update, on: v.Tip, tip: Tip{b.Height, b.Time, update.Root()}}, nil
}

// Commit makes a block the last one, all of it or, after a crash, nothing. It is fault.Conflict when another was committed since it was prepared. It does not wait for the disk; see Sync.
func (s *Store) Commit(p *Pending) error {
	batch := s.db.NewBatchWithSize(1 << 16)
	if err := s.fill(batch, p); err != nil {
		return errors.Join(err, batch.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		return errors.Join(fault.New(fault.Conflict, "commit block %d: a snapshot is being restored", p.tip.Height), batch.Close())
	}
	if s.tip != p.on {
		return errors.Join(fault.New(fault.Conflict, "block %d was prepared for block %d, and the last one is %d", p.tip.Height, p.on.Height, s.tip.Height), batch.Close())
	}
	if err := s.write(batch, pebble.NoSync); err != nil {
		return fmt.Errorf("commit block %d: %w", p.tip.Height, err)
	}
	s.entries.advance(p.on, p.tip, p.block.Changes)
	s.ids.advance(p.on, p.tip, p.block.Results)
	s.tip = p.tip
	p.update.Keep()
	if p.on.Height > 0 && s.fetched { // what was fetched is not dropped any more
		s.fetched = false
		if err := s.dropFirst(); err != nil {
			s.log.Warn("ledger: room on the disk stays in use", "error", err)
		}
	}
	return s.keepProof(len(p.block.Transactions) > 0)
}

// Sync returns once all that was committed before is on disk.
func (s *Store) Sync() error {
	if err := errors.Join(s.fs.Await(func() error { return s.db.LogData(nil, pebble.Sync) }), s.Err()); err != nil {
		return fmt.Errorf("sync the ledger's state: %w", err)
	}
	return nil
}

// fill writes a block into a batch.
func (s *Store) fill(batch *pebble.Batch, p *Pending) error {
	var errs []error
	set := func(key, value []byte) {
		if err := batch.Set(key, value, nil); err != nil {
			errs = append(errs, err)
		}
	}
	var room []byte
	put := func(key, value []byte) {
		if value != nil {
			set(key, value)
		} else if err := batch.Delete(key, nil); err != nil {
			errs = append(errs, err)
		}
	}
	validators := false
	for _, c := range p.block.Changes {
		room = entryKey(room, c.Key)
		put(room, c.Value)
		validators = validators || c.Key[0] == ledger.Validators()[0]
	}
	if validators && p.block.Height > 0 {
		set(changeKey(p.block.Height), nil)
	}
	for key, page := range p.update.Writes() {
		room = pageKey(room, key)
		put(room, page)
	}
	if len(p.block.Transactions) > 0 {
		set(blockKey(p.block.Height), p.block.marshal())
	}
	for i, t := range p.block.Transactions {
		at := Position{p.block.Height, uint32(i)}
		set(idKey(&p.block.Results[i].ID), at.appendTo(nil))
		for _, key := range leadsTo(t, p.block.Results[i].Code, at) {
			set(key, nil)
		}
	}
	set(metaKey(metaTip), p.tip.marshal())
	return errors.Join(errs...)
}

// leadsTo returns the keys that a transaction is found by, beside its id: its accounts, and what it has anchored.
func leadsTo(t *ledger.Transaction, code ledger.Code, at Position) (keys [][]byte) {
	for _, account := range t.Accounts() {
		keys = append(keys, accountKey(&account, at))
	}
	if code != ledger.Applied {
		return keys
	}
	for _, o := range t.Operations {
		if anchor, ok := o.(*ledger.Anchor); ok {
			keys = append(keys, anchorKey(&anchor.Digest, at))
		}
	}
	return keys
}

// pruneBatch is about how many bytes are removed at once.
const pruneBatch = 4 << 20

// Prune removes the blocks below a height, with what leads to their transactions. Ids that may still be asked for, since a block has an entry among the recent ones, must not be pruned: the caller keeps
// the blocks of the last hour.
func (s *Store) Prune(below int64) error {
	if below <= 0 {
		return nil
	}
	for done := false; !done; {
		var err error
		if done, err = s.pruneSome(below); err != nil {
			return err
		}
	}
	return s.pruneResults(below)
}

// pruneResults removes what a snapshot told of transactions.
func (s *Store) pruneResults(below int64) error {
	batch := s.db.NewBatch()
	err := ascend(s.db, []byte{prefixResults}, []byte{prefixResults}, func(key, value []byte) (bool, error) {
		if int64(binary.BigEndian.Uint64(key[1:])) >= below {
			return false, nil
		}
		results := cryptobyte.String(value)
		list, ok := readResults(&results)
		if !ok {
			return false, errDamaged("results of a block")
		}
		errs := []error{batch.Delete(key, nil)}
		for i := range list {
			errs = append(errs, batch.Delete(idKey(&list[i].ID), nil))
		}
		return true, errors.Join(errs...)
	})
	if err != nil {
		return errors.Join(err, batch.Close())
	}
	return s.write(batch, pebble.NoSync)
}

// pruneSome removes some blocks, the oldest first.
func (s *Store) pruneSome(below int64) (done bool, err error) {
	batch := s.db.NewBatch()
	next := below
	err = ascend(s.db, []byte{prefixBlock}, []byte{prefixBlock}, func(key, value []byte) (bool, error) {
		height := int64(binary.BigEndian.Uint64(key[1:]))
		if height >= below {
			return false, nil
		}
		if batch.Len() > pruneBatch {
			next = height
			return false, nil
		}
		return true, s.pruneBlock(batch, height, value)
	})
	if err == nil {
		err = batch.Set(metaKey(metaFirst), binary.BigEndian.AppendUint64(nil, uint64(next)), nil)
	}
	if err == nil {
		err = s.write(batch, pebble.NoSync)
	} else {
		err = errors.Join(err, batch.Close())
	}
	if err != nil {
		return false, fmt.Errorf("prune the blocks below %d: %w", below, err)
	}
	return next == below, nil
}

func (s *Store) pruneBlock(batch *pebble.Batch, height int64, data []byte) error {
	b, err := parseBlock(s.network, data)
	if err != nil {
		return fmt.Errorf("block %d: %w", height, err)
	}
	errs := []error{batch.Delete(blockKey(height), nil), batch.Delete(proofKey(height), nil)}
	for i, t := range b.Transactions {
		errs = append(errs, batch.Delete(idKey(&b.Results[i].ID), nil))
		for _, key := range leadsTo(t, b.Results[i].Code, Position{height, uint32(i)}) {
			errs = append(errs, batch.Delete(key, nil))
		}
	}
	return errors.Join(errs...)
}
