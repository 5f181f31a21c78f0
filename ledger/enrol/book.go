package enrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/ledger"
)

// bookFormat is the version of the file; an older program refuses a newer one.
const bookFormat = 1

// maxBookFile is the most bytes of the file: maxBook entries, generously.
const maxBookFile = maxBook * 256

// book is the memory of which validator is in which seat. The ledger does not know it, and one that is gone for good can't be asked any more. It is on the disk before anybody is voted in, so that those who
// voted, of whom there were enough, know it for as long as they are.
type book struct {
	path  string
	seats map[ledger.PublicKey]int
}

type bookDocument struct {
	Format int         `json:"format"`
	Seats  []bookEntry `json:"seats"`
}

type bookEntry struct {
	Key  ledger.PublicKey `json:"key"`
	Seat int              `json:"seat"`
}

// openBook reads the file, which need not be there.
func openBook(path string) (*book, error) {
	b := &book{path: path, seats: make(map[ledger.PublicKey]int)}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil && info.Size() > maxBookFile {
		err = fault.New(fault.Invalid, "it has %d bytes, over the limit of %d", info.Size(), maxBookFile)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err == nil {
		err = b.parse(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read the validators' seats in %s: %w", path, err)
	}
	return b, nil
}

func (b *book) parse(data []byte) error {
	var d bookDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return fault.New(fault.Invalid, "it is damaged: %v", err)
	}
	if d.Format != bookFormat || len(d.Seats) > maxBook {
		return fault.New(fault.Invalid, "format %d with %d seats: this program reads format %d with up to %d", d.Format, len(d.Seats), bookFormat, maxBook)
	}
	for _, e := range d.Seats {
		if e.Seat < 0 || e.Seat >= MaxSeats {
			return fault.New(fault.Invalid, "it is damaged: there is no seat %d", e.Seat)
		}
		b.seats[e.Key] = e.Seat
	}
	return nil
}

// learn notes seats of validators that are not known yet: who is where does not change. What does not fit is not noted. Nothing is known before it is on the disk.
func (b *book) learn(entries ...entry) error {
	next := maps.Clone(b.seats)
	for _, e := range entries {
		if _, known := next[e.Key]; !known && len(next) < maxBook {
			next[e.Key] = e.Seat
		}
	}
	return b.replace(next)
}

// keep forgets all but some validators.
func (b *book) keep(wanted func(ledger.PublicKey) bool) error {
	next := maps.Clone(b.seats)
	maps.DeleteFunc(next, func(k ledger.PublicKey, _ int) bool { return !wanted(k) })
	return b.replace(next)
}

func (b *book) replace(next map[ledger.PublicKey]int) error {
	if maps.Equal(next, b.seats) {
		return nil
	}
	d := bookDocument{Format: bookFormat, Seats: []bookEntry{}}
	for _, e := range entriesOf(next) {
		d.Seats = append(d.Seats, bookEntry(e))
	}
	data, err := json.MarshalIndent(d, "", "  ")
	if err == nil {
		err = atomicfile.Write(b.path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the validators' seats: %w", err)
	}
	b.seats = next
	return nil
}
