package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs"
	"github.com/folkmoot/folkmoot/internal/machine"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/tree"
)

const (
	// formatVersion is that of what is on disk. A store of a higher one is refused.
	formatVersion = 1
	bloomBits     = 10
)

// pebbleFormat is pinned so that a new version of pebble does not change the files before we decide so.
const pebbleFormat = pebble.FormatTableFormatV6

// Config configures a Store.
type Config struct {
	// Dir is the folder of the store, made when it is not there.
	Dir string
	// Network is the id of the ledger's network. A store of another is refused.
	Network ledger.Hash
	// CacheBytes is the memory for pages of the tree; 0 means sized from the machine.
	CacheBytes int
	// FS is the file system; nil: the system's.
	FS vfs.FS
	// NoWait makes writes fail where the disk is full. Otherwise they wait for room.
	NoWait bool
	Logger *slog.Logger // nil: silent
}

// Tip is the last block of a store.
type Tip struct {
	// Height is 0 before the first.
	Height int64
	// Time is the block's, in milliseconds since 1970.
	Time int64
	// Root is that of the tree of all entries after the block.
	Root tree.Hash
}

// Store is the state of one ledger on disk. Its methods may be called from many goroutines.
type Store struct {
	network ledger.Hash
	dir     string
	log     *slog.Logger
	lock    *pebble.Lock
	fs      *guardfs.FS
	db      *pebble.DB
	blocks  *pebble.Cache
	pages   *tree.Cache
	entries *entries
	ids     *recentIDs

	mu      sync.RWMutex // held while the tip moves, and shared while a view of it is taken
	tip     Tip          // guarded by mu
	frozen  *frozen      // guarded by mu; not nil while a snapshot is restored
	fetched bool         // guarded by mu; there may be a copy of the first state, and no block has followed the state that was restored
}

// Open opens the store in cfg.Dir, or makes an empty one. One that was left in the middle of a restore is as it was before. It is fault.Conflict when it is in use, of another network, or of a newer program.
func Open(cfg Config) (*Store, error) {
	s, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("open the ledger's state in %s: %w", cfg.Dir, err)
	}
	if err := s.dropHalf(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the ledger's state in %s: %w", cfg.Dir, err), s.Close())
	}
	return s, nil
}

func open(cfg Config) (*Store, error) {
	room := roomIn(machine.Memory())
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = room.pages
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	s := &Store{network: cfg.Network, dir: cfg.Dir, log: cfg.Logger, pages: tree.NewCache(cfg.CacheBytes), entries: newEntries(Tip{}), ids: newRecentIDs(idsEach, maxFilters)}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.lock, err = pebble.LockDirectory(cfg.Dir, cfg.FS); err != nil {
		return nil, fault.New(fault.Conflict, "it is in use by another process: %w", err)
	}
	s.fs = guardfs.New(cfg.FS, func(err error) {
		cfg.Logger.Error("the ledger's state can't be written any more", "dir", cfg.Dir, "error", err)
	})
	if cfg.NoWait {
		s.fs.NoWait()
	}
	s.blocks = pebble.NewCache(int64(room.blocks))
	if s.db, err = pebble.Open(cfg.Dir, s.options(&cfg, room.table)); err != nil {
		s.blocks.Unref()
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.fs.Arm()
	return s, nil
}

// write commits a batch, and closes it unless the disk has failed or the store was closed meanwhile: then the batch may still be in use.
func (s *Store) write(b *pebble.Batch, o *pebble.WriteOptions) error {
	err := s.fs.Await(func() error { return b.Commit(o) })
	if failed := s.Err(); failed != nil { // pebble may have failed in the middle of it
		return failed
	}
	if errors.Is(err, guardfs.ErrEnded) {
		return err
	}
	return errors.Join(err, b.Close())
}

// NoWait makes writes fail from now on that find the disk full, or wait for room already.
func (s *Store) NoWait() { s.fs.NoWait() }

// Err returns why the store takes no more writes, or nil.
func (s *Store) Err() error {
	if err := s.fs.Err(); err != nil {
		return fmt.Errorf("the ledger's state can't be written any more: %w", err)
	}
	return nil
}

func (s *Store) options(cfg *Config, table int) *pebble.Options {
	o := &pebble.Options{
		FS: s.fs, Lock: s.lock, Logger: logger{s, cfg.Logger}, FormatMajorVersion: pebbleFormat, Cache: s.blocks, MemTableSize: uint64(table),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // hashes and signatures do not compress
	}
	return o
}

// load reads the facts, and writes them where the store is new.
func (s *Store) load() error {
	format, err := get(s.db, metaKey(metaFormat))
	if err != nil {
		return err
	}
	if format == nil {
		b := s.db.NewBatch()
		return errors.Join(
			b.Set(metaKey(metaFormat), binary.BigEndian.AppendUint32(nil, formatVersion), nil),
			b.Set(metaKey(metaNetwork), s.network[:], nil),
			s.write(b, pebble.Sync))
	}
	if len(format) != 4 {
		return errDamaged("format")
	}
	if v := binary.BigEndian.Uint32(format); v > formatVersion {
		return fault.New(fault.Conflict, "it has format %d, and this program knows formats up to %d: a newer program wrote it", v, formatVersion)
	}
	network, err := get(s.db, metaKey(metaNetwork))
	if err != nil {
		return err
	}
	if !slices.Equal(network, s.network[:]) {
		return fault.New(fault.Conflict, "it is of the network %x, not of %s", network, s.network)
	}
	tip, err := get(s.db, metaKey(metaTip))
	if err != nil || tip == nil {
		return err
	}
	if s.tip, err = parseTip(tip); err != nil {
		return err
	}
	s.entries, s.fetched = newEntries(s.tip), s.hasFirst()
	s.ids.reset(s.tip)
	return s.mendProof()
}

// dropHalf removes what is left of a restore that was begun and not finished: nothing of it was checked as a whole.
func (s *Store) dropHalf() error {
	half, err := get(s.db, metaKey(metaRestore))
	switch {
	case err != nil:
		return err
	case half == nil && s.tip.Height == 0 && s.hasFirst(): // a copy that was not finished, or is of no use any more
		return s.dropFirst()
	case half == nil:
		return nil
	}
	if s.tip, err = s.goBack(); err == nil {
		s.entries = newEntries(s.tip)
	}
	return err
}

// Close closes the store. No view may be open. If the disk is full or has failed, the files are left as they are, as in a crash.
func (s *Store) Close() error {
	abandoned, err := s.fs.Close(s.close)
	if abandoned { // the lock has a share of pebble's, which is not given up by pebble itself
		err = errors.Join(err, s.lock.Close(), s.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("close the ledger's state: %w", err)
	}
	return nil
}

func (s *Store) close() error {
	var err error
	if s.frozen != nil { // a restore was not finished
		err = s.frozen.snap.Close()
	}
	s.fs.Wait()
	err = errors.Join(err, s.db.Close(), s.lock.Close())
	s.blocks.Unref()
	return err
}

// Tip returns the last block.
func (s *Store) Tip() Tip {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tip
}

const tipSize = 8 + 8 + len(tree.Hash{})

func (t *Tip) marshal() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, tipSize), uint64(t.Height))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Time))
	return append(b, t.Root[:]...)
}

func parseTip(b []byte) (Tip, error) {
	if len(b) != tipSize {
		return Tip{}, errDamaged("tip")
	}
	return Tip{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:])), tree.Hash(b[16:])}, nil
}

func errDamaged(what string) error {
	return fault.New(fault.Internal, "the ledger's state is damaged: its %s can't be read", what)
}

// get returns a copy of the value of a key, nil where there is none.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger's state: %w", err)
	}
	value = append(make([]byte, 0, len(value)), value...)
	return value, closer.Close()
}

// logger turns pebble's log into ours.
type logger struct {
	store *Store
	*slog.Logger
}

// Infof logs what is of use in a search for errors only.
func (l logger) Infof(format string, args ...any) {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("pebble", "event", fmt.Sprintf(format, args...))
	}
}

// Errorf logs a warning: what matters is returned.
func (l logger) Errorf(format string, args ...any) {
	l.Warn("pebble", "event", fmt.Sprintf(format, args...))
}

// Fatalf is called where pebble can't go on, and expected to end the process. Neither can the ledger go on: what is written after a failed write may be lost. But the node's other parts can.
func (l logger) Fatalf(format string, args ...any) {
	l.store.fs.Fail(fmt.Errorf(format, args...))
}
