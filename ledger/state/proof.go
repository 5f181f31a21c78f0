package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

// The entry of a block among the recent ones leaves the state after an hour, and the state of that time is not kept. So the proof that it was there is made when the block is committed, and kept
// with the block. On disk: value<16>, proof to the end.

// keepProof writes the proof for the last block, while s.mu is held, unless it has no transactions and so no entry.
func (s *Store) keepProof(transactions bool) error {
	if !transactions {
		return nil
	}
	v := s.view()
	value, proof, err := v.Prove(ledger.RecentKey(v.Tip.Height))
	if err = errors.Join(err, v.Close()); err == nil {
		b := append([]byte{byte(len(value) >> 8), byte(len(value))}, value...)
		key, value := proofKey(v.Tip.Height), proof.Append(b)
		err = errors.Join(s.fs.Await(func() error { return s.db.Set(key, value, pebble.NoSync) }), s.Err())
	}
	if err != nil {
		return fmt.Errorf("keep the proof of block %d: %w", v.Tip.Height, err)
	}
	return nil
}

// mendProof makes the proof for the last block where a crash came between the two.
func (s *Store) mendProof() error {
	block, err := get(s.db, blockKey(s.tip.Height))
	if err != nil || block == nil {
		return err
	}
	proof, err := get(s.db, proofKey(s.tip.Height))
	if err != nil || proof != nil {
		return err
	}
	return s.keepProof(true)
}

// BlockProof returns the entry among the recent ones that a block with transactions had, and the proof that it was in the tree after the block; nil where no such block is kept.
func (v *View) BlockProof(height int64) (entry []byte, proof *tree.Proof, err error) {
	data, err := get(v.snap, proofKey(height))
	if err != nil || data == nil {
		return nil, nil, err
	}
	s := cryptobyte.String(data)
	var value cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&value) {
		return nil, nil, errDamaged(fmt.Sprintf("proof of block %d", height))
	}
	if proof, err = tree.ParseProof(s); err != nil {
		return nil, nil, errDamaged(fmt.Sprintf("proof of block %d", height))
	}
	return value, proof, nil
}
