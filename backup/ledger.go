package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// maxName is the most bytes of the name of a file of the ledger.
const maxName = 64

func isLedger(name string) bool {
	return strings.HasPrefix(name, ledgerName) || strings.HasPrefix(name, PredecessorsName)
}

// entryName returns the name of the entry of a file of the ledger or a predecessor. Those of the ledger come before the others.
func entryName(name string) string {
	if strings.HasPrefix(name, PredecessorsName) {
		return name
	}
	return ledgerName + name
}

// idLength is how many letters the id of a ledger has.
const idLength = 2 * sha256.Size

// checkLedgerName returns an error unless a name is one of a folder and a file of the ledger or a predecessor, and nothing that leads elsewhere.
func checkLedgerName(name string) error {
	path, ok := name, true
	if rest, old := strings.CutPrefix(name, PredecessorsName); old {
		var id string
		id, path, ok = strings.Cut(rest, "/")
		ok = ok && len(id) == idLength && strings.Trim(id, "0123456789abcdef") == ""
	}
	folder, file, cut := strings.Cut(path, "/")
	if ok = ok && cut && (folder == "chain" || folder == "wal" || folder == "state") && file != "" && len(file) <= maxName && file[0] != '.'; ok {
		for _, c := range []byte(file) {
			ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
		}
	}
	if !ok {
		return fault.New(fault.Invalid, "%q is no file of a ledger", name)
	}
	return nil
}

// Ledger writes a file of the ledger or a predecessor, called as Taker.Ledger has it; names ascend, those of predecessors after the others. The content has exactly size bytes.
func (b *Writer) Ledger(name string, size int64, content io.Reader) error {
	if err := checkLedgerName(name); err != nil {
		return err
	}
	if size > maxLedgerFile || b.manifest.LedgerFiles == maxLedgerFiles {
		return fault.New(fault.TooLarge, "%s has %d bytes and comes after %d files of the ledger: a backup has no room for it", name, size, b.manifest.LedgerFiles)
	}
	if err := b.endParts(); err != nil {
		return err
	}
	if b.ledger == nil {
		b.ledger = sha256.New()
	}
	if err := b.begin(entryName(name), size); err != nil {
		return fmt.Errorf("write the backup: %s: %w", name, err)
	}
	beginLedgerSum(b.ledger, name, size)
	if _, err := io.CopyN(io.MultiWriter(b.tar, b.ledger), content, size); err != nil {
		return fmt.Errorf("write the backup: %s: %w", name, err)
	}
	b.manifest.LedgerFiles++
	b.manifest.LedgerBytes += size
	return nil
}

// beginLedgerSum adds what comes before the content of a file to the sum of all: its name and size, so that no two lists of files have the same sum.
func beginLedgerSum(sum hash.Hash, name string, size int64) {
	sum.Write([]byte{byte(len(name))})
	sum.Write([]byte(name))
	sum.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
}

// ledgerFile reads a file of the ledger.
func (b *reader) ledgerFile(entry *tar.Header) error {
	name := strings.TrimPrefix(entry.Name, ledgerName)
	if b.place == 0 || checkLedgerName(name) != nil || entry.Name <= b.ledgerLast {
		return damaged("%q has no place in it", entry.Name)
	}
	if b.found.LedgerFiles++; b.found.LedgerFiles > maxLedgerFiles {
		return damaged("the ledger has more than %d files", maxLedgerFiles)
	}
	b.place, b.ledgerLast = len(files()), entry.Name
	b.found.LedgerBytes += entry.Size
	if b.ledger == nil {
		b.ledger = sha256.New()
	}
	beginLedgerSum(b.ledger, name, entry.Size)
	content := &entryReader{io.TeeReader(b.tar, b.ledger), entry.Name}
	if b.take.Ledger != nil {
		if err := b.take.Ledger(name, entry.Size, content); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	_, err := io.Copy(io.Discard, content)
	return err
}

// entryReader reads an entry, and says so where the backup ends in it.
type entryReader struct {
	io.Reader
	name string
}

func (r *entryReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	switch {
	case err == nil, err == io.EOF: //nolint:errorlint // the end as io.Reader has it
		return n, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, damaged("it was cut off in %s", r.name)
	}
	return n, fmt.Errorf("read the backup: %s: %w", r.name, err)
}
