package api

import (
	"cmp"
	"net/http"

	"golang.org/x/sync/semaphore"

	"github.com/folkmoot/folkmoot/fault"
)

// Bounds of the bodies that are worked on at once, in bytes together.
const (
	// bodyShare is the part of the memory that they may have: one in so many. Each is in memory several times on its way to the disks.
	bodyShare = 16
	// minBodies and maxBodies bound that part; fallbackMemory stands for a memory of unknown size.
	minBodies      = 8 << 20
	maxBodies      = 256 << 20
	fallbackMemory = 1 << 30
)

// bodies bounds the bytes of the bodies that are worked on at once. A request waits for its turn before its body is read.
type bodies struct{ room *semaphore.Weighted }

// newBodies returns bounds for a machine with the given memory in bytes; 0: unknown.
func newBodies(memory int64) bodies {
	return bodies{semaphore.NewWeighted(min(max(cmp.Or(memory, fallbackMemory)/bodyShare, minBodies), maxBodies))}
}

// enter waits for room for the request's body, until its time is over. The function returned makes it free again.
func (b bodies) enter(r *http.Request) (leave func(), p *problem) {
	size := r.ContentLength
	if size < 0 { // it is not told
		size = maxBody
	}
	if err := b.room.Acquire(r.Context(), size); err != nil {
		return nil, problemOf(fault.New(fault.Unavailable, "the node works on as much as its memory allows already: try again"))
	}
	return func() { b.room.Release(size) }, nil
}
