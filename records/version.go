package records

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// A Timestamp is a time of a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): milliseconds since the Unix epoch in the upper 48
// bits and a counter in the lower 16.
type Timestamp uint64

const counterBits = 16

func timestampOf(t time.Time) Timestamp {
	return Timestamp(max(t.UnixMilli(), 0)) << counterBits
}

// Time returns the wall-clock part.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t >> counterBits)) }

// Version orders the records of one key, the same on every peer: by time, then by hash.
type Version struct {
	Time Timestamp
	// Hash is the beginning of the SHA-256 of the author's key and the signed payload.
	Hash [16]byte
}

// Compare returns -1, 0 or 1: the greater version wins.
func (v Version) Compare(w Version) int {
	if c := cmp.Compare(v.Time, w.Time); c != 0 {
		return c
	}
	return strings.Compare(string(v.Hash[:]), string(w.Hash[:]))
}

// IsZero reports whether v is no version: every version is greater.
func (v Version) IsZero() bool { return v == Version{} }

// String returns 16 hex digits of time, a dash and 32 of hash: the texts sort as the versions do.
func (v Version) String() string { return fmt.Sprintf("%016x-%x", uint64(v.Time), v.Hash) }

// ParseVersion reads what String wrote.
func ParseVersion(s string) (Version, error) {
	var b [8 + len(Version{}.Hash)]byte
	var v Version
	digits := strings.Replace(s, "-", "", 1)
	if n, err := hex.Decode(b[:], []byte(digits[:min(len(digits), 2*len(b))])); err != nil || n != len(b) {
		return Version{}, fault.New(fault.Invalid, "version %q: want 16 hex digits, a dash and 32 hex digits", s)
	}
	v.Time = Timestamp(binary.BigEndian.Uint64(b[:]))
	copy(v.Hash[:], b[8:])
	if v.String() != s {
		return Version{}, fault.New(fault.Invalid, "version %q: want 16 hex digits, a dash and 32 hex digits", s)
	}
	return v, nil
}

func (v Version) rank() (r disk.Rank) {
	binary.BigEndian.PutUint64(r[:], uint64(v.Time))
	copy(r[8:], v.Hash[:])
	return r
}

func versionOf(r disk.Rank) (v Version) {
	v.Time = Timestamp(binary.BigEndian.Uint64(r[:]))
	copy(v.Hash[:], r[8:])
	return v
}
