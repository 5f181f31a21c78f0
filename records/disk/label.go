package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

// labelFile lies beside pebble's files, and pebble leaves it alone.
const labelFile = "label"

const (
	labelMagic    = "folkmoot records"
	labelChecksum = 8
	labelSize     = len(labelMagic) + 4 + 32 + 8 + labelChecksum
)

var errLabel = errors.New("damaged label")

// A label says what the store is, for when pebble can't be asked. Sequence is one that the store has reached: where a log or a manifest is damaged, pebble takes that for
// its end, and opens the store as it once was.
type label struct {
	format   uint32
	network  [32]byte
	sequence uint64
}

func (l *label) marshal() []byte {
	b := append(make([]byte, 0, labelSize), labelMagic...)
	b = binary.BigEndian.AppendUint32(b, l.format)
	b = append(b, l.network[:]...)
	b = binary.BigEndian.AppendUint64(b, l.sequence)
	sum := sha256.Sum256(b)
	return append(b, sum[:labelChecksum]...)
}

// unmarshalLabel reads the labels of newer formats too, as far as it knows them.
func unmarshalLabel(data []byte) (l label, err error) {
	if len(data) != labelSize {
		return label{}, errLabel
	}
	body, checksum := data[:labelSize-labelChecksum], data[labelSize-labelChecksum:]
	sum := sha256.Sum256(body)
	s := cryptobyte.String(body)
	var magic [len(labelMagic)]byte
	if string(sum[:labelChecksum]) != string(checksum) || !s.CopyBytes(magic[:]) || string(magic[:]) != labelMagic ||
		!s.ReadUint32(&l.format) || !s.CopyBytes(l.network[:]) || !s.ReadUint64(&l.sequence) || !s.Empty() {
		return label{}, errLabel
	}
	return l, nil
}

// check refuses stores that are not this program's or not this network's.
func (l *label) check(network [32]byte) error {
	if l.format > formatVersion {
		return fault.New(fault.Conflict, "they were written in format %d by a newer program; this one reads up to %d: install the newer one", l.format, formatVersion)
	}
	if l.network != network {
		return fault.New(fault.Conflict, "they belong to another network; every network needs a home of its own")
	}
	return nil
}

// readLabel returns false when there is no label that can be read.
func (d *Disk) readLabel() (label, bool, error) {
	f, err := d.fs.Open(d.fs.PathJoin(d.dir, labelFile))
	if errors.Is(err, os.ErrNotExist) {
		return label{}, false, nil
	}
	if err != nil {
		return label{}, false, fmt.Errorf("read the label: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(labelSize)+1))
	if err = errors.Join(err, f.Close()); err != nil && !isDamage(err) {
		return label{}, false, fmt.Errorf("read the label: %w", err)
	}
	l, err := unmarshalLabel(data)
	if err != nil {
		d.logger.Warn("record store: damaged label, made anew", "dir", d.dir)
	}
	return l, err == nil, nil
}

// writeLabel replaces the label.
func (d *Disk) writeLabel(l label) error {
	path := d.fs.PathJoin(d.dir, labelFile)
	f, err := d.fs.Create(path+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write the label: %w", err)
	}
	_, err = f.Write(l.marshal())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = d.fs.Rename(path+".tmp", path)
	}
	if err != nil {
		return fmt.Errorf("write the label: %w", err)
	}
	return nil
}

// noteSequence writes a sequence that the disk is known to have into the label.
func (d *Disk) noteSequence() {
	l := label{format: formatVersion, network: d.network}
	if d.write.Sync {
		l.sequence = d.sequence.Load()
	}
	if err := d.writeLabel(l); err != nil {
		d.logger.Warn("record store: the label stays as it was", "dir", d.dir, "error", err)
	}
}
