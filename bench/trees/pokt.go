package main

import (
	"crypto/sha256"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/pokt-network/smt"
)

// pokt is pokt-network/smt: a node a key in the store. After it was filled, the whole tree stays in memory: it only reads nodes that it has not made
// itself. It has no values, only their hashes.
type pokt struct {
	nodes *poktStore
	trie  *smt.SMT
}

func newPokt(db *store, _ config) subject {
	nodes := &poktStore{db: db, batch: db.NewBatch()}
	return &pokt{nodes: nodes, trie: smt.NewSparseMerkleTrie(nodes, sha256.New())}
}

func (p *pokt) fill(pairs func(yield func(pair) bool)) error { return inBlocks(pairs, p.update) }

// inBlocks updates with blocks of fillBlock entries.
func inBlocks(pairs func(yield func(pair) bool), update func([]pair) error) error {
	block := make([]pair, 0, fillBlock)
	for e := range pairs {
		if block = append(block, e); len(block) == fillBlock {
			if err := update(block); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	return update(block)
}

func (p *pokt) update(changes []pair) error {
	for _, c := range changes {
		if err := p.trie.Update(c.key, c.value); err != nil {
			return err
		}
	}
	if err := p.trie.Commit(); err != nil {
		return err
	}
	b := p.nodes.batch
	p.nodes.batch = p.nodes.db.NewBatch()
	return p.nodes.db.commit(b)
}

func (p *pokt) prove(e pair) (int, func() error, error) {
	proof, err := p.trie.Prove(e.key)
	if err != nil {
		return 0, nil, err
	}
	compact, err := smt.CompactProof(proof, p.trie.Spec())
	if err != nil {
		return 0, nil, err
	}
	size := len(compact.BitMask) + len(compact.NonMembershipLeafData)
	for _, n := range compact.SideNodes {
		size += len(n)
	}
	root, spec := p.trie.Root(), p.trie.Spec()
	return size, func() error {
		if ok, err := smt.VerifyCompactProof(compact, root, e.key, e.value, spec); !ok || err != nil {
			return errors.Join(errProof, err)
		}
		return nil
	}, nil
}

var errProof = errors.New("the proof does not hold")

// A poktStore gathers the writes of a block; it reads what was committed.
type poktStore struct {
	db    *store
	batch *pebble.Batch
}

// Get returns the value under key.
func (s *poktStore) Get(key []byte) ([]byte, error) {
	value, err := s.db.fetch(key)
	if err == nil && value == nil {
		err = errors.New("the node is missing")
	}
	return value, err
}

// Set puts a value into the batch.
func (s *poktStore) Set(key, value []byte) error { return s.batch.Set(key, value, nil) }

// Delete puts a deletion into the batch.
func (s *poktStore) Delete(key []byte) error { return s.batch.Delete(key, nil) }

// Len is not asked for.
func (s *poktStore) Len() (int, error) { return 0, errors.ErrUnsupported }

// ClearAll is not asked for.
func (s *poktStore) ClearAll() error { return errors.ErrUnsupported }
