package records

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	cursorVersion = 1
	// maxCursorPlaces bounds the members in a cursor, so that it fits a header of HTTP. Further ones are met anew when a watch goes on.
	maxCursorPlaces = 1024
	cursorPlaceSize = 8 + 4 + 8
	cursorHeadSize  = 1 + 4 + 4 + 8 + 2
	// maxCursor is the length of the longest cursor, in bytes of text.
	maxCursor = (cursorHeadSize+maxCursorPlaces*cursorPlaceSize)*4/3 + 4
	// cursorLife is how old a cursor may become. Deletions from before it may have been swept away.
	cursorLife = keepExpired
)

// cursorText makes cursors safe in URLs and headers.
var cursorText = base64.RawURLEncoding.Strict()

// A memberTag stands for a member in a cursor: the beginning of its id's hash.
type memberTag [8]byte

func tagOf(id peer.ID) memberTag {
	h := sha256.Sum256([]byte(id))
	return memberTag(h[:])
}

// A cursorPlace is up to where a member's changes were delivered.
type cursorPlace struct {
	member memberTag
	epoch  [4]byte // the beginning of its disk's
	after  uint64
}

// A cursor says up to where changes were delivered:
//
//	version uint8, network[4], prefix[4], time uint64, count uint16, then for each place, by member: member[8], epoch[4], after uint64
type cursor struct {
	// network and prefix are the beginnings of the network's id and the prefix's hash: a cursor goes on with the watch that it is of.
	network, prefix [4]byte
	// time, in milliseconds since the Unix epoch, is up to when every member was heard.
	time   uint64
	places []cursorPlace // ascending by member, each once, at most maxCursorPlaces
}

// errCursorForm says that a newer program wrote the cursor.
var errCursorForm = errors.New("the cursor has the form of another program version")

func prefixTag(prefix string) [4]byte {
	h := sha256.Sum256([]byte(prefix))
	return [4]byte(h[:])
}

// String writes the cursor.
func (c *cursor) String() string {
	b := make([]byte, 0, cursorHeadSize+len(c.places)*cursorPlaceSize)
	b = append(append(append(b, cursorVersion), c.network[:]...), c.prefix[:]...)
	b = binary.BigEndian.AppendUint64(b, c.time)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.places)))
	for i := range c.places {
		p := &c.places[i]
		b = append(append(b, p.member[:]...), p.epoch[:]...)
		b = binary.BigEndian.AppendUint64(b, p.after)
	}
	return cursorText.EncodeToString(b)
}

// parseCursor reads what String wrote. It returns errCursorForm for the form of another version.
func parseCursor(text string) (cursor, error) {
	malformed := fault.New(fault.Invalid, "malformed cursor: want one that a watch gave")
	if len(text) > maxCursor {
		return cursor{}, malformed
	}
	data, err := cursorText.DecodeString(text)
	if err != nil || len(data) == 0 {
		return cursor{}, malformed
	}
	if data[0] > cursorVersion {
		return cursor{}, errCursorForm
	}
	var c cursor
	var count uint16
	s := cryptobyte.String(data[1:])
	if data[0] != cursorVersion || !s.CopyBytes(c.network[:]) || !s.CopyBytes(c.prefix[:]) || !s.ReadUint64(&c.time) || !s.ReadUint16(&count) ||
		count > maxCursorPlaces || len(s) != int(count)*cursorPlaceSize {
		return cursor{}, malformed
	}
	c.places = make([]cursorPlace, count)
	for i := range c.places {
		p := &c.places[i]
		if !s.CopyBytes(p.member[:]) || !s.CopyBytes(p.epoch[:]) || !s.ReadUint64(&p.after) ||
			i > 0 && bytes.Compare(c.places[i-1].member[:], p.member[:]) >= 0 {
			return cursor{}, malformed
		}
	}
	return c, nil
}

// check says whether a watch of prefix in the network can go on from the cursor: an error of kind fault.Invalid when it is of another one, and otherwise why
// changes may have been lost since, empty when none were.
func (c *cursor) check(network, prefix [4]byte, now time.Time) (lost string, err error) {
	switch {
	case c.network != network:
		return "", fault.New(fault.Invalid, "the cursor is of another network")
	case c.prefix != prefix:
		return "", fault.New(fault.Invalid, "the cursor is of a watch of another prefix")
	case millis(now) > c.time && time.Duration(millis(now)-c.time)*time.Millisecond > cursorLife:
		return "the cursor is more than 7 days old, and deletions are remembered no longer than that", nil
	}
	return "", nil
}

// trimPlaces keeps as many places as a cursor may have, the first ones, and puts them in a cursor's order.
func trimPlaces(places []cursorPlace) []cursorPlace {
	places = places[:min(len(places), maxCursorPlaces)]
	slices.SortFunc(places, func(a, b cursorPlace) int {
		return cmp.Or(bytes.Compare(a.member[:], b.member[:]), cmp.Compare(a.after, b.after))
	})
	return slices.CompactFunc(places, func(a, b cursorPlace) bool { return a.member == b.member })
}
