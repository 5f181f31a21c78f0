package records

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// Consistency is how many copies of a write must be on disk before it is acknowledged.
type Consistency uint8

const (
	// Quorum waits for a majority of the copies wanted, in two zones where two zones are alive.
	Quorum Consistency = iota
	// One waits for one copy.
	One
	// All waits for every copy wanted.
	All
)

// String returns the name that ParseConsistency reads.
func (c Consistency) String() string {
	switch c {
	case One:
		return "one"
	case All:
		return "all"
	}
	return "quorum"
}

// ParseConsistency reads "one", "quorum" or "all"; empty means quorum.
func ParseConsistency(s string) (Consistency, error) {
	switch s {
	case "", "quorum":
		return Quorum, nil
	case "one":
		return One, nil
	case "all":
		return All, nil
	}
	return Quorum, fault.New(fault.Invalid, "consistency %q: want one, quorum or all", s)
}

// needed returns how many copies that is.
func (c Consistency) needed(t *topology) int {
	switch c {
	case One:
		return 1
	case All:
		return t.wanted
	}
	return t.quorum
}

// PutOptions are the options of a write.
type PutOptions struct {
	// TTL is how long the record lives, to the millisecond; 0 means for ever. A deletion takes none.
	TTL         time.Duration
	Consistency Consistency
}

// Written says what a write did.
type Written struct {
	Key     string
	Version Version
	Author  peer.ID
	Expires time.Time
	// Stored is how many copies were on disk when the write was acknowledged; the others follow in the background.
	Stored int
	// Wanted is how many copies the network wants now, Copies how many are configured.
	Wanted, Copies int
}

// ListOptions select a page of a listing.
type ListOptions struct {
	Prefix string
	// Cursor is where to go on: the Cursor of the page before, or empty.
	Cursor string
	// Limit is the most entries wanted, 1 to 1000; 0 means 1000.
	Limit int
	// Local lists what this node's disk holds rather than the whole network.
	Local bool
}

// Entry is one record in a listing.
type Entry struct {
	Key     string
	Version Version
	Author  peer.ID
	Size    int64 // bytes of the value
	Expires time.Time
}

// Page is a part of a listing, sorted by the bytes of the keys.
type Page struct {
	Entries []Entry
	// Cursor is empty on the last page.
	Cursor string
	// Complete is false when so many members were missing that a record which was acknowledged could be.
	Complete bool
	// Missing are the members that did not answer, dead ones included.
	Missing []peer.ID
}

// Stats sums up a store.
type Stats struct {
	// Stored is how many records this peer's disk holds, deleted ones not included.
	Stored int64
	// DiskBytes is how much of the disk they use.
	DiskBytes int64
	// Wanted is how many copies the network wants now, Quorum the majority of it, Copies how many are configured.
	Wanted, Copies, Quorum int
}
