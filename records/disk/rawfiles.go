package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	walrecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	tableSuffix = ".sst"
	logSuffix   = ".log"
	// logBlock is the size of the blocks of pebble's logs: after damage, reading goes on with the next.
	logBlock = 32 << 10
	// maxLogRecord bounds what is read of one write in a log.
	maxLogRecord = 64 << 20
)

// An entry is one version of a key in a file of pebble's. It is valid until the next is visited.
type entry struct {
	key, value []byte
	sequence   uint64 // pebble's: the greatest is the newest
	set        bool   // otherwise the key was deleted
}

func isSet(kind pebble.InternalKeyKind) bool {
	return kind == pebble.InternalKeyKindSet || kind == pebble.InternalKeyKindSetWithDelete
}

func isDelete(kind pebble.InternalKeyKind) bool {
	return kind == pebble.InternalKeyKindDelete || kind == pebble.InternalKeyKindSingleDelete || kind == pebble.InternalKeyKindDeleteSized
}

// orPanic, deferred, turns a panic of pebble's, which trusts what has the right checksum, into damage.
func orPanic(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("pebble panicked: %v: %w", r, pebble.ErrCorruption)
	}
}

// readTable visits the entries of a table that can be read, and returns how many gaps there are between them.
func readTable(fs vfs.FS, path string, visit func(*entry) error) (gaps int, err error) {
	defer orPanic(&err)
	f, err := fs.Open(path)
	if err != nil {
		return 0, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{Comparer: pebble.DefaultComparer})
	if err != nil {
		return 0, err // which has closed the file
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return 0, errors.Join(err, r.Close())
	}
	c := newTableCursor(it)
	found, err := survey(c, span{nil, keysEnd}, func(key, value []byte) error {
		kind, sequence := c.kind()
		if !isSet(kind) && !isDelete(kind) {
			return nil
		}
		if err := visit(&entry{key, value, sequence, isSet(kind)}); err != nil {
			return errVisit{err}
		}
		return nil
	})
	_ = it.Close() // returns the damage that was met last
	return len(found), errors.Join(err, r.Close())
}

// A tableCursor walks a table. Its functions share a variable of a type that pebble keeps to itself.
type tableCursor struct {
	seekGE, seekLT func(key []byte) bool
	next           func() bool
	key            func() []byte
	value          func() ([]byte, error)
	kind           func() (kind pebble.InternalKeyKind, sequence uint64)
	err            func() error
}

func newTableCursor(it sstable.Iterator) *tableCursor {
	kv := it.First()
	return &tableCursor{
		seekGE: func(key []byte) bool { kv = it.SeekGE(key, 0); return kv != nil },
		seekLT: func(key []byte) bool { kv = it.SeekLT(key, 0); return kv != nil },
		next:   func() bool { kv = it.Next(); return kv != nil },
		key:    func() []byte { return kv.K.UserKey },
		value: func() ([]byte, error) {
			value, _, err := kv.Value(nil)
			return value, err
		},
		kind: func() (pebble.InternalKeyKind, uint64) { return kv.Kind(), uint64(kv.SeqNum()) },
		err:  it.Error,
	}
}

func (c *tableCursor) SeekGE(key []byte) bool       { return c.seekGE(key) }
func (c *tableCursor) SeekLT(key []byte) bool       { return c.seekLT(key) }
func (c *tableCursor) Next() bool                   { return c.next() }
func (c *tableCursor) Key() []byte                  { return c.key() }
func (c *tableCursor) ValueAndErr() ([]byte, error) { return c.value() }
func (c *tableCursor) Error() error                 { return c.err() }

// readLog visits the entries of a write-ahead log that can be read, and returns how often it had to skip some.
func readLog(fs vfs.FS, path, name string, visit func(*entry) error) (gaps int, err error) {
	number, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, nil // not a log of pebble's
	}
	f, err := fs.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	for start := int64(0); start < info.Size(); {
		end, err := readLogFrom(f, start, info.Size(), uint32(number), visit)
		if err == nil || !isLogDamage(err) {
			return gaps, err
		}
		gaps++
		start = (end/logBlock + 1) * logBlock
	}
	return gaps, nil
}

func isLogDamage(err error) bool { return walrecord.IsInvalidRecord(err) || isDamage(err) }

// readLogFrom reads whole writes from start, which is where a block starts. It returns where the last whole one ended.
func readLogFrom(f io.ReaderAt, start, size int64, number uint32, visit func(*entry) error) (end int64, err error) {
	r := newLogReader(walrecord.NewReader, io.NewSectionReader(f, start, size-start), number)
	end = start
	for {
		next, err := r.Next()
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		batch, err := io.ReadAll(io.LimitReader(next, maxLogRecord))
		if err != nil {
			return end, err
		}
		if err := readBatch(batch, visit); err != nil {
			return end, err
		}
		end = start + r.Offset()
	}
}

// newLogReader infers the type of the log's number, which pebble keeps to itself.
func newLogReader[N ~uint64](open func(io.Reader, N) *walrecord.Reader, r io.Reader, number uint32) *walrecord.Reader {
	return open(r, N(number))
}

// readBatch visits the entries of one write. What is malformed, though its checksum is right, ends it.
func readBatch(batch []byte, visit func(*entry) error) (err error) {
	defer orPanic(&err)
	if len(batch) < batchrepr.HeaderLen {
		return nil
	}
	sequence := uint64(batchrepr.ReadSeqNum(batch))
	for r := batchrepr.Read(batch); ; sequence++ {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return nil
		}
		if !isSet(kind) && !isDelete(kind) {
			continue
		}
		if err := visit(&entry{key, value, sequence, isSet(kind)}); err != nil {
			return errVisit{err}
		}
	}
}
