package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/folkmoot/folkmoot/internal/pause"
)

// A store is pebble as the trees are given it, with filters, and a count of what is given to it.
type store struct {
	*pebble.DB
	cache *pebble.Cache
	given uint64 // bytes of keys and values, in batches
}

func openStore(dir string) (*store, error) {
	opts := &pebble.Options{
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Cache:              pebble.NewCache(64 << 20),
		MemTableSize:       64 << 20,
		Logger:             silent{},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, err
	}
	return &store{DB: db, cache: opts.Cache}, nil
}

// Close closes the store.
func (s *store) Close() error {
	err := s.DB.Close()
	s.cache.Unref()
	return err
}

// fetch returns the value under key, nil where there is none.
func (s *store) fetch(key []byte) ([]byte, error) {
	value, closer, err := s.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(value), closer.Close()
}

// commit writes a batch and waits for the disk.
func (s *store) commit(b *pebble.Batch) error {
	s.given += uint64(b.Len())
	return errors.Join(s.Apply(b, pebble.Sync), b.Close())
}

// settlePoll is how often settle looks.
const settlePoll = 5 * time.Millisecond

// settle writes out what is in memory and waits until no compaction is under way.
func (s *store) settle() error {
	if err := s.Flush(); err != nil {
		return err
	}
	for quiet := 0; quiet < 3; {
		if err := pause.For(context.Background(), settlePoll); err != nil {
			return err
		}
		if quiet++; s.Metrics().Compact.NumInProgress > 0 {
			quiet = 0
		}
	}
	return nil
}

// traffic returns the bytes given to pebble so far, and the bytes that it has written: log, flushes and compactions.
func (s *store) traffic() (given, written uint64) {
	m := s.Metrics()
	total := m.Total()
	return s.given, m.WAL.BytesWritten + total.TableBytesFlushed + total.TableBytesCompacted + total.BlobBytesFlushed + total.BlobBytesCompacted
}

type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
