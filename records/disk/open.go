package disk

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/guardfs"
)

// Open opens the store in cfg.Dir, or makes one. It is fault.Conflict when another process has it open, it belongs to another network or a newer program wrote it. A
// store whose files are damaged is opened with what can be read; see Damaged and Salvaged.
func Open(cfg Config) (*Disk, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Disk{
		dir: cfg.Dir, network: cfg.Network, write: pebble.Sync, logger: cfg.Logger, now: cfg.Now, quota: cfg.Quota,
		queue: make(chan *update, maxQueued), alone: make(chan func()), closing: make(chan struct{}), committed: make(chan struct{}),
		reports: make(chan span, maxReports), flushed: make(chan struct{}, 1), kept: make(chan struct{}), failed: make(chan struct{}),
	}
	d.fs = guardfs.New(cfg.FS, func(err error) { _ = d.fail(err) })
	if cfg.NoSync {
		d.write = pebble.NoSync
	}
	if err := d.open(); err != nil {
		return nil, err
	}
	go d.commitLoop()
	go d.keepLoop()
	return d, nil
}

func (d *Disk) open() (err error) {
	if err := d.finishExchange(); err != nil {
		return fmt.Errorf("find the records folder: %w", err)
	}
	if d.lock, err = d.lockDir(); err != nil {
		return err
	}
	d.mending.Store(true)
	defer d.mending.Store(false)
	seen, cause := d.inspect()
	switch {
	case cause == nil:
		err = d.openHere(seen)
	case isDamage(cause):
		err = d.salvage(cause)
	default:
		err = cause
	}
	if err == nil {
		d.fs.Arm()
		return nil
	}
	if d.db != nil {
		err = errors.Join(err, d.db.Close())
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return openError(d.dir, err)
}

func (d *Disk) lockDir() (*pebble.Lock, error) {
	if err := d.fs.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the records folder: %w", err)
	}
	lock, err := pebble.LockDirectory(d.dir, d.fs.FS)
	if err != nil {
		return nil, fault.New(fault.Conflict, "the records in %s are in use by another process: %w", d.dir, err)
	}
	return lock, nil
}

func openError(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.New(fault.Full, "open the records in %s: the disk is full: %w", dir, err)
	}
	return fmt.Errorf("open the records in %s: %w", dir, err)
}

// inspect looks at the store without changing anything: where pebble does not see the damage, it takes the store for an older one and removes what that did
// not have.
func (d *Disk) inspect() (seen census, err error) {
	l, labelled, err := d.readLabel()
	if err != nil {
		return seen, err
	}
	if labelled {
		if err := l.check(d.network); err != nil {
			return seen, err
		}
	}
	tables, err := d.hasTables()
	if err != nil {
		return seen, err
	}
	desc, err := pebble.Peek(d.dir, d.fs)
	if err != nil {
		return seen, err
	}
	if !desc.Exists {
		if labelled || tables {
			return seen, fmt.Errorf("the manifest is gone: %w", errMeta)
		}
		return seen, nil // a new store
	}
	options := d.options()
	options.ReadOnly = true
	db, err := openPebble(d.dir, options)
	if err != nil {
		if !isSystem(err) {
			err = errors.Join(err, errMeta) // files that contradict one another
		}
		return seen, err
	}
	seen, err = d.examine(db, &l, labelled || tables)
	return seen, errors.Join(err, db.Close())
}

func (d *Disk) hasTables() (bool, error) {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return false, fmt.Errorf("list the files: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, tableSuffix) {
			return true, nil
		}
	}
	return false, nil
}

// examine refuses what is not this program's or not this network's, and finds what is not whole. old says that the store is not a new one.
func (d *Disk) examine(db *pebble.DB, l *label, old bool) (seen census, err error) {
	format, err := get(db, metaKey(metaFormat))
	if err != nil {
		return seen, fmt.Errorf("read the format: %w", err)
	}
	if format == nil {
		if old {
			return seen, fmt.Errorf("all is gone: %w", errMeta)
		}
		return seen, nil
	}
	network, err := get(db, metaKey(metaNetwork))
	if err != nil {
		return seen, fmt.Errorf("read the network: %w", err)
	}
	if len(format) != 4 || len(network) != len(d.network) {
		return seen, errMeta
	}
	stored := label{format: binary.BigEndian.Uint32(format), network: [32]byte(network)}
	if err := stored.check(d.network); err != nil {
		return seen, err
	}
	_, t, err := readFacts(db)
	if err != nil {
		return seen, err
	}
	if t.sequence < l.sequence {
		return seen, fmt.Errorf("the newest change is number %d, there were %d: %w", t.sequence, l.sequence, errMeta)
	}
	seen, err = d.takeCensus(db, nil)
	if err == nil && len(seen.gaps) == 0 && t.records != unknownRecords && t.records != uint64(seen.records) {
		return seen, fmt.Errorf("there are %d records, there were %d: %w", seen.records, t.records, errMeta)
	}
	return seen, err
}

func openPebble(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer orPanic(&err)
	return pebble.Open(dir, o)
}

func (d *Disk) options() *pebble.Options {
	logger := pebbleLogger{d}
	o := &pebble.Options{
		FS: d.fs, Lock: d.lock, Logger: logger, FormatMajorVersion: pebbleFormat,
		CacheSize: cacheBytes, MemTableSize: memTableBytes, MemTableStopWritesThreshold: maxMemTables, MaxOpenFiles: maxOpenFiles,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				d.logger.Warn("record store: background work failed", "dir", d.dir, "error", err.Error())
			},
			DataCorruption: d.corrupted,
			FlushEnd: func(pebble.FlushInfo) {
				select {
				case d.flushed <- struct{}{}:
				default:
				}
			},
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return o
}

// openHere opens the store, of which inspect has seen that it is new, or whole but for what the census tells.
func (d *Disk) openHere(seen census) (err error) {
	if d.db, err = openPebble(d.dir, d.options()); err != nil {
		return err
	}
	format, err := d.meta(metaFormat)
	if err != nil {
		return err
	}
	if format == nil {
		err = d.create(d.db, "")
	} else {
		err = d.loadFacts()
	}
	if err != nil {
		return err
	}
	if d.salvaged == "" {
		err = d.settle(seen)
	}
	if err != nil {
		return err
	}
	d.noteSequence()
	return d.Err()
}

// create writes the facts of a new store. salvage is the folder whose records it is to take over, or "".
func (d *Disk) create(db *pebble.DB, salvage string) error {
	_, _ = rand.Read(d.epoch[:]) // never fails
	b := db.NewBatch()
	err := errors.Join(
		b.Set(metaKey(metaEpoch), d.epoch[:], nil),
		b.Set(metaKey(metaFormat), binary.BigEndian.AppendUint32(nil, formatVersion), nil),
		b.Set(metaKey(metaNetwork), d.network[:], nil))
	if salvage != "" {
		err = errors.Join(err,
			b.Set(metaKey(metaSalvage), []byte(salvage), nil),
			b.Set(metaKey(metaDamage), d.damage.marshal(), nil))
	}
	if err = errors.Join(err, b.Commit(pebble.Sync), b.Close(), d.Err()); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return nil
}

// loadFacts reads the facts of a store that is there, and ends a salvage that was cut off.
func (d *Disk) loadFacts() error {
	epoch, t, err := readFacts(d.db)
	if err != nil {
		return err
	}
	d.epoch = epoch
	d.setTotals(t)
	damage, err := d.meta(metaDamage)
	switch {
	case err != nil:
	case damage != nil:
		err = d.damage.unmarshal(damage)
	case d.cutOff(): // the mending had noted it, and cut that out too
		d.damage.setAll()
	}
	if err != nil {
		return err
	}
	salvage, err := d.meta(metaSalvage)
	if err == nil && salvage != nil {
		err = d.pour(string(salvage))
	}
	return err
}

// readFacts reads what every store has.
func readFacts(db *pebble.DB) (epoch [16]byte, t totals, err error) {
	data, err := get(db, metaKey(metaEpoch))
	if err == nil && len(data) != len(epoch) {
		err = errMeta
	}
	if err != nil {
		return epoch, t, fmt.Errorf("read the epoch: %w", err)
	}
	copy(epoch[:], data)
	if data, err = get(db, metaKey(metaTotals)); err == nil && data != nil {
		t, err = unmarshalTotals(data)
	}
	if err != nil {
		return epoch, t, fmt.Errorf("read the totals: %w", err)
	}
	return epoch, t, nil
}
