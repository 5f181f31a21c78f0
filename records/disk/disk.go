package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// formatVersion is the version of the layout that this program writes, and the newest that it reads.
	formatVersion = 1
	// cacheBytes and memTableBytes keep an idle node small; records are read by single look-ups, which gain little from large caches.
	cacheBytes    = 8 << 20
	memTableBytes = 4 << 20
	// maxMemTables is how many memtables may wait to be written out before writers wait.
	maxMemTables = 3
	maxOpenFiles = 256
	bloomBits    = 10
	// minFreeBytes is the room on the file system that records leave free: pebble needs some to write out what it has taken, and
	// deletions, which are taken still, to win room back.
	minFreeBytes = 32 << 20
	// freeCheckEvery is how often the free room is looked at, at most.
	freeCheckEvery = time.Second
)

// pebbleFormat is pinned so that a new version of pebble does not change the files before we decide so.
const pebbleFormat = pebble.FormatTableFormatV6

var errFull = fault.New(fault.Full, "the disk is full")

// Config configures a Disk.
type Config struct {
	// Dir is the folder of the store; it is made where it is missing.
	Dir string
	// Network is the id of the network whose records these are. A store of another one is refused.
	Network [32]byte
	// FS is the file system; nil means the machine's.
	FS vfs.FS
	// NoSync makes writes return before the disk has them, for measuring.
	NoSync bool
	Logger *slog.Logger // nil: silent
}

// Disk is an open store. Its methods may be called from many goroutines, but not after Close.
type Disk struct {
	dir    string
	db     *pebble.DB
	fs     *guardFS
	lock   *pebble.Lock
	write  *pebble.WriteOptions
	logger *slog.Logger

	queue     chan *update
	closing   chan struct{} // closed by Close
	committed chan struct{} // closed when the committer has ended
	group     []*update     // owned by the committer
	count     atomic.Int64  // written by the committer

	freeChecked atomic.Int64 // Unix nanoseconds
	low         atomic.Bool  // less than minFreeBytes free

	failOnce sync.Once
	failed   chan struct{} // closed once failure is set
	failure  error         // guarded by failed
}

// Open opens the store in cfg.Dir, or makes one. It is fault.Conflict when another process has it open or it belongs to another network.
func Open(cfg Config) (*Disk, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Disk{
		dir: cfg.Dir, write: pebble.Sync, logger: cfg.Logger,
		queue: make(chan *update, maxQueued), closing: make(chan struct{}), committed: make(chan struct{}), failed: make(chan struct{}),
	}
	d.fs = newGuardFS(cfg.FS, func(err error) { _ = d.fail(err) })
	if cfg.NoSync {
		d.write = pebble.NoSync
	}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the records folder: %w", err)
	}
	if err := d.open(cfg); err != nil {
		return nil, err
	}
	go d.commitLoop()
	return d, nil
}

func (d *Disk) open(cfg Config) (err error) {
	if d.lock, err = pebble.LockDirectory(cfg.Dir, cfg.FS); err != nil {
		return fault.New(fault.Conflict, "the records in %s are in use by another process: %w", cfg.Dir, err)
	}
	if d.db, err = pebble.Open(cfg.Dir, d.options()); err != nil {
		return errors.Join(openError(cfg.Dir, err), d.lock.Close())
	}
	if err = d.checkMeta(cfg.Network); err != nil {
		return errors.Join(fmt.Errorf("records in %s: %w", cfg.Dir, err), d.db.Close(), d.lock.Close())
	}
	d.fs.arm()
	return d.Err()
}

func openError(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.New(fault.Full, "open the records in %s: the disk is full: %w", dir, err)
	}
	return fmt.Errorf("open the records in %s: %w; if files there are damaged, move the folder away and start again: "+
		"the other holders keep their copies", dir, err)
}

func (d *Disk) options() *pebble.Options {
	logger := pebbleLogger{d}
	o := &pebble.Options{
		FS: d.fs, Lock: d.lock, Logger: logger, FormatMajorVersion: pebbleFormat,
		CacheSize: cacheBytes, MemTableSize: memTableBytes, MemTableStopWritesThreshold: maxMemTables, MaxOpenFiles: maxOpenFiles,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { d.logger.Warn("record store: background work failed", "dir", d.dir, "error", err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				d.logger.Error("record store: damaged file", "dir", d.dir, "path", i.Path, "error", i.Details)
			},
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return o
}

// checkMeta reads the store's own facts, and writes them to a new one.
func (d *Disk) checkMeta(network [32]byte) error {
	format, err := d.meta(metaFormat)
	if err != nil {
		return err
	}
	if format == nil {
		return d.writeMeta(network)
	}
	if len(format) != 4 {
		return errors.New("damaged format version")
	}
	if v := binary.BigEndian.Uint32(format); v > formatVersion {
		return fault.New(fault.Conflict, "they were written in format %d by a newer program; this one reads up to %d: install the newer one", v, formatVersion)
	}
	stored, err := d.meta(metaNetwork)
	if err != nil {
		return err
	}
	if string(stored) != string(network[:]) {
		return fault.New(fault.Conflict, "they belong to another network; every network needs a home of its own")
	}
	count, err := d.metaUint64(metaCount)
	d.count.Store(int64(count))
	return err
}

func (d *Disk) writeMeta(network [32]byte) error {
	b := d.db.NewBatch()
	err := errors.Join(
		b.Set(metaKey(metaFormat), binary.BigEndian.AppendUint32(nil, formatVersion), nil),
		b.Set(metaKey(metaNetwork), network[:], nil),
		b.Commit(pebble.Sync), b.Close(), d.Err())
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return nil
}

// Close waits for the write at work, refuses those that wait, and closes the files. Nothing may be called at the same time or later. If the disk is full or failed,
// the files are left as they are, as in a crash, and what can't end for want of the disk is left behind until the process ends.
func (d *Disk) Close() error {
	close(d.closing)
	closed := make(chan error, 1)
	go func() {
		<-d.committed
		closed <- d.db.Close()
	}()
	var err error
	select {
	case err = <-closed:
	case <-d.fs.full():
		err = d.abandon(errFull)
	case <-d.failed:
		err = d.abandon(d.failure)
	}
	if err = errors.Join(err, d.lock.Close()); err != nil {
		return fmt.Errorf("close the records in %s: %w", d.dir, err)
	}
	return nil
}

// abandon makes sure that nothing is written any more by what is left behind, gives up pebble's share of the lock, and returns cause.
func (d *Disk) abandon(cause error) error {
	d.fs.end()
	return errors.Join(cause, d.lock.Close())
}

// Failed is closed when the disk has failed beyond what waiting mends: nothing more is written, and the process should end and start anew,
// which reads back what the disk has.
func (d *Disk) Failed() <-chan struct{} { return d.failed }

// Err returns why the disk has failed, or nil.
func (d *Disk) Err() error {
	select {
	case <-d.failed:
		return d.failure
	default:
		return nil
	}
}

// fail marks the store as failed, and returns the first cause.
func (d *Disk) fail(cause error) error {
	d.failOnce.Do(func() {
		d.failure = fmt.Errorf("the disk of the records in %s failed, no more is written until the node is restarted: %w", d.dir, cause)
		d.logger.Error("record store failed", "dir", d.dir, "error", cause)
		close(d.failed)
	})
	return d.failure
}

// Count returns how many records there are, deleted ones not included. Those that expired count until they are swept.
func (d *Disk) Count() int64 { return d.count.Load() }

// Bytes returns how much of the disk the store uses.
func (d *Disk) Bytes() int64 { return int64(d.db.Metrics().DiskSpaceUsage()) }

// room returns errFull when there is no room for another record.
func (d *Disk) room() error {
	now := time.Now().UnixNano()
	if last := d.freeChecked.Load(); now-last >= int64(freeCheckEvery) && d.freeChecked.CompareAndSwap(last, now) {
		usage, err := d.fs.GetDiskUsage(d.dir)
		d.low.Store(err == nil && usage.AvailBytes < minFreeBytes)
	}
	if d.low.Load() {
		return errFull
	}
	return nil
}
