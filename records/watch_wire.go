package records

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/folkmoot/folkmoot/records/disk"
)

const (
	// opChanges asks a peer what has changed on its disk.
	opChanges op = 32
	// maxChanges bounds the changes in one answer; with the bounds of a head it keeps an answer below maxMessage.
	maxChanges = 256
	// maxChangesWait bounds how long a peer is asked to wait for the next change.
	maxChangesWait = 10 * time.Second
)

// An epoch names one peer's disk: places in the order of changes of another disk mean nothing.
type epoch [16]byte

// A changesRequest asks for what a peer's disk took after a place in its order of changes:
//
//	op, epoch[16], after uint64, since uint64, limit uint16, wait uint16, prefix<uint16>
type changesRequest struct {
	epoch epoch  // the disk that the place is of; when it is another, the answer says only which, and where its changes end
	after uint64 // the place
	since Timestamp
	limit int // 1 to maxChanges
	// wait, in whole milliseconds, is how long to wait for a change where there is none yet.
	wait   time.Duration
	prefix string
}

// changes is the answer:
//
//	statusOK, epoch[16], next uint64, last uint64, heads
//
// Refusals are those of the other requests.
type changes struct {
	epoch epoch
	// next is the place up to which everything asked for is in heads, last the newest place there is.
	next, last uint64
	heads      []disk.Head // in the order in which the disk took them
}

func (r *changesRequest) marshal() []byte {
	b := make([]byte, 0, 1+len(r.epoch)+8+8+2+2+2+len(r.prefix))
	b = append(append(b, byte(opChanges)), r.epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, r.after)
	b = binary.BigEndian.AppendUint64(b, uint64(r.since))
	b = binary.BigEndian.AppendUint16(b, uint16(r.limit))
	b = binary.BigEndian.AppendUint16(b, uint16(r.wait.Milliseconds()))
	return append(binary.BigEndian.AppendUint16(b, uint16(len(r.prefix))), r.prefix...)
}

func unmarshalChangesRequest(data []byte) (changesRequest, error) {
	var r changesRequest
	var what uint8
	var limit, wait uint16
	var prefix cryptobyte.String
	s := cryptobyte.String(data)
	if !s.ReadUint8(&what) || op(what) != opChanges || !s.CopyBytes(r.epoch[:]) || !s.ReadUint64(&r.after) || !s.ReadUint64((*uint64)(&r.since)) ||
		!s.ReadUint16(&limit) || limit < 1 || limit > maxChanges ||
		!s.ReadUint16(&wait) || int64(wait) > maxChangesWait.Milliseconds() ||
		!s.ReadUint16LengthPrefixed(&prefix) || len(prefix) > MaxKey || !s.Empty() || r.after == math.MaxUint64 {
		return changesRequest{}, errMessage
	}
	r.limit, r.wait, r.prefix = int(limit), time.Duration(wait)*time.Millisecond, string(prefix)
	return r, nil
}

func (c *changes) marshal() []byte {
	b := append([]byte{byte(statusOK)}, c.epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, c.next)
	b = binary.BigEndian.AppendUint64(b, c.last)
	for i := range c.heads {
		b = appendHead(b, &c.heads[i])
	}
	return b
}

func unmarshalChanges(data []byte) (changes, error) {
	if len(data) > 0 && status(data[0]) == statusRefused {
		r, err := unmarshalResponse(opChanges, data)
		if err == nil {
			err = r.err()
		}
		return changes{}, err
	}
	var c changes
	var what uint8
	s := cryptobyte.String(data)
	if len(data) > maxMessage || !s.ReadUint8(&what) || status(what) != statusOK ||
		!s.CopyBytes(c.epoch[:]) || !s.ReadUint64(&c.next) || !s.ReadUint64(&c.last) || c.next > c.last || c.last == math.MaxUint64 {
		return changes{}, errMessage
	}
	for !s.Empty() {
		var h disk.Head
		if len(c.heads) == maxChanges || !readHead(&s, &h) {
			return changes{}, errMessage
		}
		c.heads = append(c.heads, h)
	}
	return c, nil
}
