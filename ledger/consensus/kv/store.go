package kv

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	dbm "github.com/cometbft/cometbft-db"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs"
)

const (
	// cacheBytes and memTableBytes bound what the store keeps in memory.
	cacheBytes    = 8 << 20
	memTableBytes = 8 << 20
	// maxMemTables is how many memory tables there may be before writes wait.
	maxMemTables = 4
	// maxOpenFiles bounds the file descriptors.
	maxOpenFiles = 256
	// format is pinned so that a new version of pebble does not change the files before we decide so.
	format = pebble.FormatTableFormatV6
)

// ErrClosed is what operations on a closed store return.
var ErrClosed = errors.New("the chain's store is closed")

// Config configures a Store.
type Config struct {
	// Dir is the store's folder; it is made if need be.
	Dir string
	// FS is the file system; nil means the machine's.
	FS vfs.FS
	// NoWait makes writes fail where the disk is full. Otherwise they wait for room.
	NoWait bool
	// Logger may be nil.
	Logger *slog.Logger
}

// A Store is an open set of files. Its methods, and those of its spaces, may be called from many goroutines.
type Store struct {
	db   *pebble.DB
	fs   *guardfs.FS
	lock *pebble.Lock

	// use is held for reading during each operation, and for writing to close.
	use     sync.RWMutex
	closed  bool // guarded by use
	closing sync.Once

	mu   sync.Mutex
	open map[*iterator]struct{} // guarded by mu
}

// Open opens a store or makes a new one. An error is fault.Conflict when another process has it open, and fault.Full when the disk is.
func Open(cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, fault.New(fault.Invalid, "open the chain's store: no folder")
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := makeDir(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("make the chain's folder: %w", err)
	}
	lock, err := pebble.LockDirectory(cfg.Dir, cfg.FS)
	if err != nil {
		return nil, fault.New(fault.Conflict, "the chain in %s is in use by another process: %w", cfg.Dir, err)
	}
	s := &Store{lock: lock, open: make(map[*iterator]struct{}), fs: guardfs.New(cfg.FS, func(err error) { cfg.Logger.Error("the chain's store failed", "dir", cfg.Dir, "error", err) })}
	if cfg.NoWait {
		s.fs.NoWait()
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref() // the database holds its own reference
	s.db, err = pebble.Open(cfg.Dir, &pebble.Options{
		FS: s.fs, Lock: lock, Logger: logger{s, cfg.Logger}, FormatMajorVersion: format,
		Cache: cache, MemTableSize: memTableBytes, MemTableStopWritesThreshold: maxMemTables, MaxOpenFiles: maxOpenFiles,
	})
	if err != nil {
		err = errors.Join(err, lock.Close())
		if guardfs.IsFull(err) {
			return nil, fault.New(fault.Full, "open the chain in %s: the disk is full: %w", cfg.Dir, err)
		}
		return nil, fmt.Errorf("open the chain in %s: %w", cfg.Dir, err)
	}
	s.fs.Arm()
	return s, nil
}

// makeDir makes a folder, and those above it that are missing, so that they are still there after a loss of power.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	above := fs.PathDir(dir)
	if above == dir {
		return nil
	}
	if err := makeDir(fs, above); err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	d, err := fs.OpenDir(above)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Space returns the database whose keys begin with the given byte in the store's files. Two spaces with different bytes have nothing in common. Closing a
// space does nothing; the store is closed as a whole.
func (s *Store) Space(prefix byte) dbm.DB { return &space{store: s, prefix: prefix} }

// Close waits for operations under way and closes the files. Iterators that are still open are invalid afterwards, and other operations return
// ErrClosed. Only the first call does anything. If the disk is full or has failed, the files are left as they are, as in a crash.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		var abandoned bool
		if abandoned, err = s.fs.Close(s.close); abandoned { // the lock has a share of pebble's, which is not given up by pebble itself
			err = errors.Join(err, s.lock.Close(), s.lock.Close())
		}
	})
	if err != nil {
		return fmt.Errorf("close the chain's store: %w", err)
	}
	return nil
}

func (s *Store) close() error {
	s.use.Lock()
	defer s.use.Unlock()
	s.closed = true
	err := s.closeIterators()
	s.fs.Wait()
	return errors.Join(err, s.db.Close(), s.lock.Close())
}

// begin is called before each operation that touches the files, and end after it if begin returned nil.
func (s *Store) begin() error {
	s.use.RLock()
	if s.closed {
		s.use.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) end() { s.use.RUnlock() }

// Err returns why the store takes no more writes, or nil.
func (s *Store) Err() error {
	if err := s.fs.Err(); err != nil {
		return fmt.Errorf("the chain's store failed: %w", err)
	}
	return nil
}

// NoWait makes writes fail from now on that find the disk full, or wait for room already.
func (s *Store) NoWait() { s.fs.NoWait() }

// Waits reports whether a write waits for room on the disk.
func (s *Store) Waits() bool {
	select {
	case <-s.fs.Full():
		return true
	default:
		return false
	}
}

// write does one write to the files. It is fault.Full when the disk is full: then the write may take effect once there is room. What f uses must be left alone after an error for which left is true: it may be at work yet.
func (s *Store) write(f func() error) (left bool, err error) {
	if err := s.begin(); err != nil {
		return false, err
	}
	defer s.end()
	if err := s.Err(); err != nil {
		return false, err
	}
	err = s.fs.Try(f)
	failed := s.Err() // pebble may have failed in the middle of it
	switch {
	case failed != nil:
		return true, failed
	case errors.Is(err, guardfs.ErrEnded):
		return true, ErrClosed
	case err != nil && guardfs.IsFull(err):
		return true, fault.New(fault.Full, "write the chain: the disk is full: %w", err)
	}
	return false, err
}

// only returns the error of a write that uses nothing of others.
func only(_ bool, err error) error { return err }

// closeIterators closes those that their owners have not. use is held for writing.
func (s *Store) closeIterators() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for it := range s.open {
		err = errors.Join(err, it.iter.Close())
		it.over = true
	}
	clear(s.open)
	return err
}

// logger passes pebble's complaints on; what it tells of its daily work is of no interest.
type logger struct {
	store *Store
	to    *slog.Logger
}

// Infof does nothing.
func (logger) Infof(string, ...any) {}

// Errorf logs a warning: what matters is returned or makes the store fail.
func (l logger) Errorf(format string, args ...any) {
	l.to.Warn("chain store", "event", fmt.Sprintf(format, args...))
}

// Fatalf is expected to end the process; here it marks the store as failed, so that the node's other parts go on.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.store.fs.Fail(err)
}
