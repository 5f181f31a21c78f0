package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/internal/guardfs"
)

const (
	// formatVersion is the version of the layout that this program writes, and the newest that it reads.
	formatVersion = 1
	// cacheBytes and memTableBytes keep a node small. The cache grows with use; it should hold the heads, indexes and filters of some 10,000 records, which every write reads.
	cacheBytes    = 16 << 20
	memTableBytes = 4 << 20
	// maxMemTables is how many memtables may wait to be written out before writers wait.
	maxMemTables = 3
	maxOpenFiles = 256
	bloomBits    = 10
)

// pebbleFormat is pinned so that a new version of pebble does not change the files before we decide so.
const pebbleFormat = pebble.FormatTableFormatV6

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
	// Quota bounds the bytes of disk that the store uses; 0 means no bound. Over it only deletions are taken.
	Quota  int64
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Disk is an open store. Its methods may be called from many goroutines, but not after Close.
type Disk struct {
	dir     string
	network [32]byte
	db      *pebble.DB
	fs      *guardfs.FS
	lock    *pebble.Lock
	write   *pebble.WriteOptions
	logger  *slog.Logger
	now     func() time.Time
	quota   int64

	epoch    [16]byte
	salvaged string
	damage   damageMap
	tally    tally

	queue     chan *update
	alone     chan func()   // work of the keeper's for the committer, between two groups
	closing   chan struct{} // closed by Close
	committed chan struct{} // closed when the committer has ended
	group     []*update     // owned by the committer
	deltas    []delta       // owned by the committer
	totals    totals        // owned by the committer
	count     atomic.Int64  // written by the committer
	sequence  atomic.Uint64 // of totals, for others

	changedMu sync.Mutex
	changed   chan struct{} // guarded by changedMu

	reports chan span     // in which something could not be read
	flushed chan struct{} // holds one when the label is out of date
	kept    chan struct{} // closed when the keeper has ended
	mending atomic.Bool   // while the keeper looks for the edges of damage

	roomChecked atomic.Int64 // Unix nanoseconds
	low         atomic.Bool  // less than minFreeBytes free
	over        atomic.Int64 // the bytes used, when more than the quota; otherwise 0

	failOnce sync.Once
	failed   chan struct{} // closed once failure is set
	failure  error         // guarded by failed
}

// Close waits for the write at work, refuses those that wait, and closes the files. Nothing may be called at the same time or later. If the disk is full or failed,
// the files are left as they are, as in a crash, and what can't end for want of the disk is left behind until the process ends.
func (d *Disk) Close() error {
	close(d.closing)
	closed := make(chan error, 1)
	go func() {
		<-d.committed
		<-d.kept
		d.noteSequence()
		closed <- d.db.Close()
	}()
	var err error
	select {
	case err = <-closed:
	case <-d.fs.Full():
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
	d.fs.End()
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
