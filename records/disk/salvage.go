package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	// spaceStaged holds, while a damaged store is salvaged, the newest entry found of each key in the spaces of salvagedSpaces.
	spaceStaged  = 's'
	stagedHeader = 8 + 1
)

// salvagedSpaces are those whose newest entries are looked for one by one. Envelopes go with the heads that name their sequence; the rest follows from the heads, or lives
// short anyway.
var salvagedSpaces = []byte{spaceHead, spaceProvider, spaceProvided}

// salvage moves a store that pebble can't open aside, and takes what can be read of its files over into a new one. Wherever it is cut off, it goes on when the store is
// opened again.
func (d *Disk) salvage(cause error) error {
	old := d.dir + ".damaged-" + d.now().UTC().Format("20060102T150405.000Z")
	d.logger.Warn("record store: damaged; moved aside, what can be read is taken over, other holders bring back the rest",
		"dir", d.dir, "moved", old, "error", cause.Error())
	err := d.prepare(old)
	if err == nil {
		err = d.exchange(old)
	}
	if err != nil {
		return err
	}
	if err := d.lock.Close(); err != nil { // that of the folder moved
		d.lock = nil
		return err
	}
	if d.lock, err = d.lockDir(); err != nil {
		return err
	}
	if d.db, err = openPebble(d.dir, d.options()); err != nil {
		return err
	}
	if err := d.loadFacts(); err != nil {
		return err
	}
	d.noteSequence()
	return d.Err()
}

// fresh is where the new store is made before it takes the place of the damaged one.
func (d *Disk) fresh() string { return d.dir + ".new" }

// prepare makes a new store that knows from where it is to be filled.
func (d *Disk) prepare(old string) error {
	dir := d.fresh()
	if err := errors.Join(d.fs.RemoveAll(dir), d.fs.MkdirAll(dir, 0o700)); err != nil {
		return fmt.Errorf("make room for a new store: %w", err)
	}
	options := d.options()
	options.Lock = nil
	db, err := openPebble(dir, options)
	if err != nil {
		return err
	}
	d.damage.setAll()
	return errors.Join(d.create(db, old), db.Close())
}

// exchange puts the new store in the place of the damaged one.
func (d *Disk) exchange(old string) error {
	for _, move := range [][2]string{{d.dir, old}, {d.fresh(), d.dir}} {
		err := d.fs.Rename(move[0], move[1])
		if err == nil {
			err = d.syncParent()
		}
		if err != nil {
			return fmt.Errorf("move the damaged folder aside: %w", err)
		}
	}
	return nil
}

// finishExchange does what is left of an exchange that was cut off between its two moves.
func (d *Disk) finishExchange() error {
	if _, err := d.fs.Stat(d.dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := d.fs.Stat(d.fresh()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(d.fs.Rename(d.fresh(), d.dir), d.syncParent())
}

func (d *Disk) syncParent() error {
	parent, err := d.fs.OpenDir(d.fs.PathDir(d.dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// A salvager reads the files of a damaged store one by one.
type salvager struct {
	d   *Disk
	dir string
	t   *tx
}

// pour takes over what can be read in dir. It can be done again when it was cut off.
func (d *Disk) pour(dir string) error {
	d.salvaged = dir
	s := &salvager{d: d, dir: dir, t: d.newTx()}
	err := s.each(s.stage)
	if err == nil {
		err = s.each(s.unite)
	}
	if err == nil {
		err = s.release()
	}
	if err != nil {
		return fmt.Errorf("salvage %s: %w", dir, err)
	}
	return d.recount(nil)
}

// each visits the entries of all files.
func (s *salvager) each(visit func(*entry) error) error {
	names, err := s.d.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("list the files: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.file(name, visit); err != nil {
			return err
		}
	}
	return s.commit(0)
}

// file visits the entries of one file, if it is a table or a log. What can't be read of it is passed over.
func (s *salvager) file(name string, visit func(*entry) error) (err error) {
	path := s.d.fs.PathJoin(s.dir, name)
	gaps := 0
	if strings.HasSuffix(name, tableSuffix) {
		gaps, err = readTable(s.d.fs, path, visit)
	} else if number, ok := strings.CutSuffix(name, logSuffix); ok {
		gaps, err = readLog(s.d.fs, path, number, visit)
	}
	if e, ok := errors.AsType[errVisit](err); ok {
		return e.error
	}
	if isSystem(err) {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err != nil || gaps > 0 {
		s.d.logger.Warn("record store: part of a file could not be salvaged", "path", path, "gaps", gaps, "error", err)
	}
	return nil
}

// commit writes what is gathered if it is more than limit bytes.
func (s *salvager) commit(limit int) error {
	if s.t.size() <= limit {
		return nil
	}
	err := s.d.commit(s.t)
	s.t = s.d.newTx()
	return err
}

// stage notes the newest entry of each key.
func (s *salvager) stage(e *entry) error {
	switch {
	case len(e.key) == 0:
		return nil
	case !slices.Contains(salvagedSpaces, e.key[0]) && string(e.key) != string(metaKey(metaClock)):
		return nil
	}
	key := append([]byte{spaceStaged}, e.key...)
	old, err := get(s.t.batch, key)
	if err != nil {
		return err
	}
	if len(old) >= stagedHeader && binary.BigEndian.Uint64(old) > e.sequence {
		return nil
	}
	value := binary.BigEndian.AppendUint64(make([]byte, 0, stagedHeader+len(e.value)), e.sequence)
	if e.set {
		value = append(append(value, 1), e.value...)
	} else {
		value = append(value, 0)
	}
	if err := s.t.batch.Set(key, value, nil); err != nil {
		return err
	}
	return s.commit(maxGroupBytes)
}

// unite stores the record whose envelope is found, if it is the one of the newest head.
func (s *salvager) unite(e *entry) error {
	if len(e.key) != 1+len(Hash{}) || e.key[0] != spaceEnvelope || !e.set {
		return nil
	}
	hash := Hash(e.key[1:])
	value, err := s.staged(headKey(hash))
	if err != nil || value == nil {
		return err
	}
	head, err := unmarshalHead(value)
	if err != nil {
		return nil
	}
	sequence, envelope, err := splitEnvelope(e.value)
	if err != nil || sequence != head.Sequence {
		return nil
	}
	if _, err := s.t.put(hash, head, envelope); err != nil {
		return err
	}
	return s.commit(maxGroupBytes)
}

// staged returns the newest value found of key, or nil when it was deleted or never there.
func (s *salvager) staged(key []byte) ([]byte, error) {
	value, err := get(s.d.db, append([]byte{spaceStaged}, key...))
	if err != nil || len(value) < stagedHeader || value[stagedHeader-1] == 0 {
		return nil, err
	}
	return value[stagedHeader:], nil
}

// release puts the remaining spaces in place and ends the salvage.
func (s *salvager) release() error {
	it, err := s.d.iterate([]byte{spaceStaged})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		key, value := it.Key()[1:], it.Value()
		if key[0] == spaceHead || len(value) < stagedHeader || value[stagedHeader-1] == 0 {
			continue
		}
		if err = s.t.batch.Set(key, value[stagedHeader:], nil); err == nil {
			err = s.commit(maxGroupBytes)
		}
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return err
	}
	err = errors.Join(
		s.t.batch.DeleteRange([]byte{spaceStaged}, []byte{spaceStaged + 1}, nil),
		s.t.batch.Delete(metaKey(metaSalvage), nil))
	return errors.Join(err, s.commit(0), s.d.db.Flush())
}
