package records

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	sessionVersion = 1
	// maxSession is how many keys a session remembers: those touched last.
	maxSession = 64
	// floorHash and floorRank are how many bytes of hash and rank a floor keeps: enough that no two keys or versions of one client meet by chance.
	floorHash = 8
	floorRank = 12
	floorSize = floorHash + floorRank
)

// A Session is what one client has seen: for each of the last 64 keys that it wrote or read, the version below which it must not be taken back. Sessions are values; the zero value has
// seen nothing.
type Session struct{ floors []floor } // oldest first; never changed in place

type floor struct {
	hash [floorHash]byte
	rank [floorRank]byte // time, and the beginning of what breaks ties
}

func floorOf(hash disk.Hash, rank disk.Rank) floor {
	return floor{[floorHash]byte(hash[:]), [floorRank]byte(rank[:])}
}

// with returns the session after it has seen a version of a key.
func (s Session) with(hash disk.Hash, rank disk.Rank) Session {
	f := floorOf(hash, rank)
	floors := make([]floor, 0, min(len(s.floors)+1, maxSession))
	rest := s.floors
	if len(rest) == maxSession && rest[0].hash != f.hash && !s.has(f.hash) {
		rest = rest[1:]
	}
	for _, old := range rest {
		if old.hash != f.hash {
			floors = append(floors, old)
		} else if bytes.Compare(old.rank[:], f.rank[:]) > 0 {
			f = old
		}
	}
	return Session{append(floors, f)}
}

func (s Session) has(hash [floorHash]byte) bool {
	for i := range s.floors {
		if s.floors[i].hash == hash {
			return true
		}
	}
	return false
}

// allows reports whether a version may be shown to the session; the zero rank stands for none.
func (s Session) allows(hash disk.Hash, rank disk.Rank) bool {
	f := floorOf(hash, rank)
	for i := range s.floors {
		if s.floors[i].hash == f.hash {
			return bytes.Compare(f.rank[:], s.floors[i].rank[:]) >= 0
		}
	}
	return true
}

// newest returns the time of the version that the session has seen of a key, or 0.
func (s Session) newest(hash disk.Hash) Timestamp {
	for i := range s.floors {
		if f := &s.floors[i]; f.hash == [floorHash]byte(hash[:]) {
			return Timestamp(binary.BigEndian.Uint64(f.rank[:]))
		}
	}
	return 0
}

// allowsNone reports whether the session may be told that there is no record: it has seen none, or only one from before the given time.
func (s Session) allowsNone(hash disk.Hash, before Timestamp) bool {
	f := floorOf(hash, versionAt(before).rank())
	for i := range s.floors {
		if s.floors[i].hash == f.hash {
			return bytes.Compare(s.floors[i].rank[:], f.rank[:]) < 0
		}
	}
	return true
}

func versionAt(t Timestamp) Version { return Version{Time: t} }

// String returns the session as a text for URLs and headers, of at most 1,770 bytes; empty for the zero value.
func (s Session) String() string {
	if len(s.floors) == 0 {
		return ""
	}
	b := make([]byte, 0, 1+len(s.floors)*floorSize+sessionSum)
	b = append(b, sessionVersion)
	for i := range s.floors {
		b = append(append(b, s.floors[i].hash[:]...), s.floors[i].rank[:]...)
	}
	return sessionText.EncodeToString(binary.BigEndian.AppendUint32(b, sumOf(b)))
}

// sessionSum is the length of the sum that tells a damaged session.
const sessionSum = 4

var sessionText = base64.RawURLEncoding.Strict()

func sumOf(b []byte) uint32 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint32(sum[:])
}

// ParseSession reads what String wrote. It is fault.Invalid for anything else.
func ParseSession(text string) (Session, error) {
	if text == "" {
		return Session{}, nil
	}
	invalid := fault.New(fault.Invalid, "session %.40q: want what an answer of this network carried", text)
	if len(text) > sessionText.EncodedLen(1+maxSession*floorSize+sessionSum) {
		return Session{}, invalid
	}
	b, err := sessionText.DecodeString(text)
	if err != nil || len(b) < 1+floorSize+sessionSum || b[0] != sessionVersion || (len(b)-1-sessionSum)%floorSize != 0 {
		return Session{}, invalid
	}
	b, sum := b[:len(b)-sessionSum], binary.BigEndian.Uint32(b[len(b)-sessionSum:])
	if sum != sumOf(b) {
		return Session{}, invalid
	}
	var s Session
	for b = b[1:]; len(b) > 0; b = b[floorSize:] {
		f := floor{[floorHash]byte(b), [floorRank]byte(b[floorHash:])}
		if s.has(f.hash) {
			return Session{}, invalid
		}
		s.floors = append(s.floors, f)
	}
	return s, nil
}
