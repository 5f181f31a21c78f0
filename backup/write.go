package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/folkmoot/folkmoot/fault"
)

// A Writer writes one backup. Its methods are called in the order File, Record, Ledger, Close; files in the order of the format.
type Writer struct {
	tar      *tar.Writer
	manifest Manifest
	next     int // index into files
	part     bytes.Buffer
	sum      hash.Hash // of all parts
	ledger   hash.Hash // of the ledger's files, nil before the first
}

// NewWriter begins a backup. The header's format is set.
func NewWriter(w io.Writer, header Header) (*Writer, error) {
	header.Format = Format
	header.Taken = header.Taken.UTC()
	b := &Writer{tar: tar.NewWriter(w), manifest: Manifest{Header: header, Files: map[string]string{}}, sum: sha256.New()}
	doc, err := json.MarshalIndent(header, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the backup's header: %w", err)
	}
	return b, b.entry(headerName, doc)
}

// File writes one of the files of the format.
func (b *Writer) File(name string, content []byte) error {
	for ; b.next < len(files()); b.next++ {
		f := files()[b.next]
		if f.name != name {
			continue
		}
		if int64(len(content)) > f.max {
			return fault.New(fault.TooLarge, "%s has %d bytes: at most %d fit a backup", name, len(content), f.max)
		}
		b.next++
		return b.entry(name, content)
	}
	return fault.New(fault.Invalid, "%s has no place here in a backup", name)
}

// Record writes the signed envelope of a record.
func (b *Writer) Record(envelope []byte) error {
	if b.ledger != nil {
		return fault.New(fault.Invalid, "a record has no place here in a backup")
	}
	if len(envelope) == 0 || len(envelope) > MaxRecord {
		return fault.New(fault.TooLarge, "a record of %d bytes: 1 to %d fit a backup", len(envelope), MaxRecord)
	}
	b.next = len(files())
	b.part.Write(binary.BigEndian.AppendUint32(nil, uint32(len(envelope))))
	b.part.Write(envelope)
	b.manifest.Records++
	b.manifest.Bytes += int64(len(envelope))
	if b.part.Len() < partSize {
		return nil
	}
	return b.endPart()
}

func (b *Writer) endPart() error {
	b.manifest.Parts++
	b.sum.Write(b.part.Bytes())
	err := b.entry(partName(b.manifest.Parts), b.part.Bytes())
	b.part.Reset()
	return err
}

// endParts writes what is left of the records.
func (b *Writer) endParts() error {
	b.next = len(files())
	if b.part.Len() == 0 {
		return nil
	}
	return b.endPart()
}

// Close writes what is left and the manifest: without it the backup is no backup.
func (b *Writer) Close() error {
	if err := b.endParts(); err != nil {
		return err
	}
	if b.ledger != nil {
		b.manifest.LedgerSum = hex.EncodeToString(b.ledger.Sum(nil))
	}
	b.manifest.RecordsSum = hex.EncodeToString(b.sum.Sum(nil))
	doc, err := json.MarshalIndent(&b.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("write the backup's manifest: %w", err)
	}
	if err := b.entry(manifestName, doc); err != nil {
		return err
	}
	if err := b.tar.Close(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

func (b *Writer) entry(name string, content []byte) error {
	if name != manifestName && !isPart(name) {
		sum := sha256.Sum256(content)
		b.manifest.Files[name] = hex.EncodeToString(sum[:])
	}
	err := b.begin(name, int64(len(content)))
	if err == nil {
		_, err = b.tar.Write(content)
	}
	if err != nil {
		return fmt.Errorf("write the backup: %s: %w", name, err)
	}
	return nil
}

// begin begins an entry.
func (b *Writer) begin(name string, size int64) error {
	return b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: b.manifest.Taken, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR})
}
