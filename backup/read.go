package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"github.com/folkmoot/folkmoot/fault"
)

// A Taker is given what a backup holds while it is read. What it is given is whole only once Read has returned without an error. Its errors end the reading.
type Taker struct {
	Header func(Header) error
	// File takes one of the files of the format.
	File func(name string, content []byte) error
	// Records takes the signed envelopes of one part; their signatures are not checked.
	Records func(envelopes [][]byte) error
	// Ledger takes a file of the ledger: its name is one of a folder, "chain", "wal" or "state", and a file in it; for a
	// predecessor PredecessorsName, the ledger's id and a slash come before. What it does not read is passed over. nil: the ledger is passed over.
	Ledger func(name string, size int64, content io.Reader) error
}

// Read reads a backup to the end and checks it against its manifest. It is fault.Invalid for what is no backup, is damaged, was cut off, or is in a newer format.
func Read(r io.Reader, take Taker) (Manifest, error) {
	b := &reader{tar: tar.NewReader(r), take: take, found: Manifest{Files: map[string]string{}}, sum: sha256.New()}
	if err := b.header(); err != nil {
		return Manifest{}, err
	}
	for {
		entry, err := b.next()
		if err != nil {
			return Manifest{}, err
		}
		switch {
		case entry.Name == manifestName:
			return b.manifest(entry)
		case isPart(entry.Name):
			err = b.part(entry)
		case isLedger(entry.Name):
			err = b.ledgerFile(entry)
		default:
			err = b.file(entry)
		}
		if err != nil {
			return Manifest{}, err
		}
	}
}

type reader struct {
	tar   *tar.Reader
	take  Taker
	place int      // index into files of the next that may come
	found Manifest // what was read
	sum   hash.Hash

	ledger     hash.Hash // of the ledger's files, nil before the first
	ledgerLast string    // name of the last one
}

// next returns the next entry; a backup ends with its manifest, not before.
func (b *reader) next() (*tar.Header, error) {
	entry, err := b.tar.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, damaged("it was cut off")
	case errors.Is(err, tar.ErrHeader):
		return nil, damaged("%w", err)
	case err != nil:
		return nil, fmt.Errorf("read the backup: %w", err)
	case entry.Typeflag != tar.TypeReg:
		return nil, damaged("%q is no file", entry.Name)
	}
	return entry, nil
}

// content reads an entry of at most limit bytes.
func (b *reader) content(entry *tar.Header, limit int64) ([]byte, error) {
	if entry.Size > limit {
		return nil, damaged("%s has %d bytes, at most %d are allowed", entry.Name, entry.Size, limit)
	}
	var content bytes.Buffer
	if _, err := io.Copy(&content, b.tar); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, damaged("it was cut off in %s", entry.Name)
	} else if err != nil {
		return nil, fmt.Errorf("read the backup: %s: %w", entry.Name, err)
	}
	if isPart(entry.Name) {
		b.sum.Write(content.Bytes())
	} else if entry.Name != manifestName {
		sum := sha256.Sum256(content.Bytes())
		b.found.Files[entry.Name] = hex.EncodeToString(sum[:])
	}
	return content.Bytes(), nil
}

func (b *reader) header() error {
	entry, err := b.next()
	switch {
	case err != nil && fault.KindOf(err) != fault.Invalid:
		return err
	case err != nil || entry.Name != headerName:
		return fault.New(fault.Invalid, "this is no backup of a node")
	}
	doc, err := b.content(entry, maxDocument)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, &b.found.Header); err != nil {
		return damaged("%s: %w", headerName, err)
	}
	if f := b.found.Format; f > Format {
		return fault.New(fault.Invalid, "the backup is in format %d, of a newer program: this one reads up to %d", f, Format)
	} else if f < 1 {
		return damaged("%s: format %d", headerName, f)
	}
	return b.take.Header(b.found.Header)
}

func (b *reader) file(entry *tar.Header) error {
	for ; b.place < len(files()); b.place++ {
		f := files()[b.place]
		if f.name == entry.Name {
			b.place++
			content, err := b.content(entry, f.max)
			if err != nil {
				return err
			}
			return b.take.File(f.name, content)
		}
		if f.required {
			break
		}
	}
	return damaged("%q has no place in it", entry.Name)
}

func (b *reader) part(entry *tar.Header) error {
	b.found.Parts++
	if b.place == 0 || b.ledger != nil || entry.Name != partName(b.found.Parts) {
		return damaged("%q has no place in it", entry.Name)
	}
	b.place = len(files())
	content, err := b.content(entry, maxPart)
	if err != nil {
		return err
	}
	envelopes, err := split(content)
	if err != nil {
		return damaged("%s: %w", entry.Name, err)
	}
	for _, e := range envelopes {
		b.found.Records++
		b.found.Bytes += int64(len(e))
	}
	if err := b.take.Records(envelopes); err != nil {
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	return nil
}

// split takes a part apart; the envelopes alias it.
func split(part []byte) (envelopes [][]byte, err error) {
	if len(part) == 0 {
		return nil, errors.New("it is empty")
	}
	for len(part) > 0 {
		if len(part) < lengthSize {
			return nil, errors.New("it ends in the length of a record")
		}
		n := binary.BigEndian.Uint32(part)
		part = part[lengthSize:]
		if n == 0 || n > MaxRecord || int64(n) > int64(len(part)) {
			return nil, fmt.Errorf("record %d has a length of %d", len(envelopes)+1, n)
		}
		envelopes = append(envelopes, part[:n:n])
		part = part[n:]
	}
	return envelopes, nil
}

// manifest checks what was read against what was written.
func (b *reader) manifest(entry *tar.Header) (Manifest, error) {
	doc, err := b.content(entry, maxDocument)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(doc, &m); err != nil {
		return Manifest{}, damaged("%s: %w", manifestName, err)
	}
	b.found.RecordsSum = hex.EncodeToString(b.sum.Sum(nil))
	if b.ledger != nil {
		b.found.LedgerSum = hex.EncodeToString(b.ledger.Sum(nil))
	}
	for name := range maps.Keys(m.Files) {
		if b.found.Files[name] != m.Files[name] {
			return Manifest{}, damaged("%s is not what was written", name)
		}
	}
	switch {
	case len(m.Files) != len(b.found.Files) || b.place == 0:
		return Manifest{}, damaged("files are missing, or there are more than were written")
	case m.Records != b.found.Records || m.Bytes != b.found.Bytes || m.Parts != b.found.Parts || m.RecordsSum != b.found.RecordsSum:
		return Manifest{}, damaged("its %d records are not the %d that were written", b.found.Records, m.Records)
	case m.LedgerFiles != b.found.LedgerFiles || m.LedgerBytes != b.found.LedgerBytes || m.LedgerSum != b.found.LedgerSum:
		return Manifest{}, damaged("its %d files of the ledger are not the %d that were written", b.found.LedgerFiles, m.LedgerFiles)
	case m.Network != b.found.Network || m.Peer != b.found.Peer || !m.Taken.Equal(b.found.Taken):
		return Manifest{}, damaged("%s and %s do not belong together", headerName, manifestName)
	}
	return m, nil
}
