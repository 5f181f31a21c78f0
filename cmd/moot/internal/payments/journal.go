package payments

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/gofrs/flock"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// journalVersion is that of the file.
	journalVersion = 1
	// maxStep is the most bytes of a line of the journal: those of as many transactions as can be under way at once.
	maxStep = 256 << 20
)

// Heading says what a journal is of.
type Heading struct {
	Version int `json:"version"`
	// Network is the ledger to which the first transactions went.
	Network ledger.Hash `json:"network"`
	// List is the hash of the file, and Meaning that of what it stands for: names looked up, options put in.
	List    ledger.Hash `json:"list_sha256"`
	Meaning ledger.Hash `json:"meaning_sha256"`
}

// Sent is a transaction that was made for a line, and may have been handed in.
type Sent struct {
	Line int `json:"line"`
	// Height is that of a block which was there before the transaction was.
	Height      int64  `json:"height"`
	Transaction []byte `json:"transaction"`
	// Network is the ledger that it was made for. In the file it is absent where it is that of the heading.
	Network ledger.Hash `json:"network,omitzero"`
}

// Settled is what became of the last transaction of a line.
type Settled struct {
	Line   int    `json:"line"`
	ID     string `json:"id"`
	Height int64  `json:"height,omitempty"` // of its block; 0: it is in none, and the node refused it
	// Failure is empty for a transaction that did what it says.
	Failure string `json:"failure,omitempty"`
}

// step is a line of the journal.
type step struct {
	Sent    []Sent    `json:"sent,omitempty"`
	Settled []Settled `json:"settled,omitempty"`
}

// Entry is what is known of a line.
type Entry struct {
	Sent
	// Settled is nil as long as it is not known what became of the transaction.
	Settled *Settled
}

// Journal is the file that has what was sent. One process at a time has it.
type Journal struct {
	lock *flock.Flock
	file *os.File
	// network is that of the heading.
	network ledger.Hash

	mu      sync.Mutex
	next    step          // guarded by mu; what the next line will have
	wanted  chan struct{} // guarded by mu; closed when next is on the disk or can't be
	writing bool          // guarded by mu
	failed  error         // guarded by mu; after it nothing may be sent
}

// OpenJournal opens the journal at path, or makes it, and returns what it has. What was sent to one of some earlier ledgers, which the heading's goes on from, is taken over. It is fault.Conflict when it is of something else or another process has it, and fault.Invalid when it is damaged.
func OpenJournal(path string, heading Heading, earlier ...ledger.Hash) (*Journal, map[int]Entry, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = fault.New(fault.Conflict, "another import of it is under way")
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	j := &Journal{lock: lock}
	entries, err := j.open(path, heading, earlier)
	if err != nil {
		return nil, nil, errors.Join(err, j.end())
	}
	return j, entries, nil
}

func (j *Journal) open(path string, heading Heading, earlier []ledger.Hash) (map[int]Entry, error) {
	heading.Version = journalVersion
	var err error
	if j.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	known, entries, whole, err := readJournal(j.file)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		whole = 0 // nothing was ever sent: whatever it was of, it may be of something else now
	}
	if err := j.file.Truncate(whole); err != nil {
		return nil, err
	}
	if _, err := j.file.Seek(whole, io.SeekStart); err != nil {
		return nil, err
	}
	if whole == 0 {
		j.network = heading.Network
		return entries, errors.Join(j.write(heading), syncFolder(filepath.Dir(path)))
	}
	switch {
	case known.Network != heading.Network && !slices.Contains(earlier, known.Network):
		return nil, fault.New(fault.Conflict, "the earlier import went to another network")
	case known.List != heading.List:
		return nil, fault.New(fault.Conflict, "the list is not the one of the earlier import: it was changed since")
	case known.Meaning != heading.Meaning:
		return nil, fault.New(fault.Conflict, "names or options stand for something else than in the earlier import")
	}
	j.network = known.Network
	for line, e := range entries {
		if e.Network == (ledger.Hash{}) {
			e.Network = known.Network
			entries[line] = e
		}
	}
	return entries, nil
}

// readJournal reads a journal that may have been cut off at any byte, and tells how many bytes of it are whole. Only its last line was perhaps never on the disk, and then nothing of it was sent.
func readJournal(file io.Reader) (heading Heading, entries map[int]Entry, whole int64, err error) {
	entries = make(map[int]Entry)
	r := bufio.NewReaderSize(file, 64<<10)
	var damage error
	for n := 1; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return heading, entries, whole, nil
		}
		if err != nil {
			return heading, nil, 0, err
		}
		if damage != nil {
			return heading, nil, 0, damage
		}
		if n == 1 {
			err = decode(line, &heading)
			if err == nil && heading.Version != journalVersion {
				return heading, nil, 0, fault.New(fault.Invalid, "it is of version %d: this program reads version %d", heading.Version, journalVersion)
			}
		} else {
			err = replay(line, entries)
		}
		if err != nil {
			damage = fault.New(fault.Invalid, "line %d is damaged: %w", n, err)
			if n == 1 && bytes.ContainsFunc(line, func(r rune) bool { return r != 0 }) {
				return heading, nil, 0, damage // whose file is this?
			}
			continue
		}
		whole += int64(len(line)) + 1
	}
}

// readLine returns the next line without its end, or io.EOF where there is no whole one.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxStep:
			continue
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}

func decode(line []byte, doc any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(doc); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// replay adds a line of the journal to what is known.
func replay(line []byte, entries map[int]Entry) error {
	var s step
	if err := decode(line, &s); err != nil {
		return err
	}
	// What is settled was sent in an earlier line, perhaps to be followed by another transaction in this one.
	for i := range s.Settled {
		e, ok := entries[s.Settled[i].Line]
		if !ok {
			return fmt.Errorf("payment %d is settled and was not sent", s.Settled[i].Line)
		}
		e.Settled = &s.Settled[i]
		if e.Settled.Failure == "" {
			e.Transaction = nil // nobody needs it any more
		}
		entries[e.Line] = e
	}
	for i := range s.Sent {
		if _, err := ledger.ParseTransaction(s.Sent[i].Transaction); err != nil {
			return err
		}
		entries[s.Sent[i].Line] = Entry{Sent: s.Sent[i]}
	}
	return nil
}

// Send returns when the transaction is on the disk: then it may be handed in. Those of many callers are written at once.
func (j *Journal) Send(s Sent) error {
	if s.Network == j.network {
		s.Network = ledger.Hash{}
	}
	j.mu.Lock()
	if j.failed != nil {
		defer j.mu.Unlock()
		return j.failed
	}
	j.next.Sent = append(j.next.Sent, s)
	if j.wanted == nil {
		j.wanted = make(chan struct{})
	}
	wanted := j.wanted
	if !j.writing {
		j.writing = true
		go j.flush()
	}
	j.mu.Unlock()
	<-wanted
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Settle notes what became of the transaction of a line. It need not be on the disk: the ledger tells it again.
func (j *Journal) Settle(s Settled) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next.Settled = append(j.next.Settled, s)
}

// flush writes until nothing waits. A line is on the disk before the next is begun, so that at most the last one is ever damaged.
func (j *Journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.failed == nil && j.wanted != nil {
		s, wanted := j.next, j.wanted
		j.next, j.wanted = step{}, nil
		j.mu.Unlock()
		err := j.write(s)
		j.mu.Lock()
		if err != nil {
			j.failed = fmt.Errorf("keep what is sent: %w", err)
		}
		close(wanted)
	}
	if j.wanted != nil {
		close(j.wanted)
		j.wanted = nil
	}
	j.writing = false
}

func (j *Journal) write(doc any) error {
	data, err := json.Marshal(doc)
	if err == nil {
		_, err = j.file.Write(append(data, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	return err
}

// Close writes what was settled, and lets others have the journal. Nobody may send any more.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.failed
	if err == nil && len(j.next.Settled) > 0 {
		err = j.write(j.next)
	}
	return errors.Join(err, j.end())
}

func (j *Journal) end() error {
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	return errors.Join(err, j.lock.Close())
}

// syncFolder makes a new file last through a power failure. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
