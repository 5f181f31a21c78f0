package records

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/routing"
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
	// If is a condition that the record as it is must meet; the zero value is none. A write whose condition is not met is fault.Conflict and changes nothing.
	If Condition
	// Session is the one that an earlier answer carried, or the zero value.
	Session Session
}

// A Condition is what a conditional write asks of the record that it replaces. It is checked at the first of the key's holders that is alive, so that writers who reach the
// same one exclude one another; across a partition, and for a moment while the holders of a key change, two may succeed and the later version wins.
type Condition struct {
	// Absent wants that there is no record: none was written, or it was deleted or has expired.
	Absent bool
	// Version wants that this is the newest version, unless it is zero.
	Version Version
}

// GetOptions are the options of a read.
type GetOptions struct {
	// Consistency is how many holders must answer: One returns what the first of them has, which may be old.
	Consistency Consistency
	// Session is the one that an earlier answer carried, or the zero value: what the session has seen is not taken back.
	Session Session
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
	// Session is that of the request, with this write.
	Session Session
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
	// Quota is the bound on DiskBytes beyond which new records are refused; 0: none.
	Quota int64
	// Wanted is how many copies the network wants now, Quorum the majority of it, Copies how many are configured.
	Wanted, Copies, Quorum int
	// ShardsHeld is how many of the 4,096 shards this peer is a holder of, ShardsSynced for how many of them it is certain to have everything.
	ShardsHeld, ShardsSynced int
	// Full, Below and Unreachable count the records that this peer is the first live holder of: all copies wanted agree, some are not known to, too few holders for a quorum are alive.
	Full, Below, Unreachable int64
}

// Holding says who holds a key.
type Holding struct {
	Key                    string
	Wanted, Copies, Quorum int
	// Holders are the key's holders in order of distance, then other members that were found to have a copy.
	Holders []HolderState
}

// HolderState is what one member says of a key.
type HolderState struct {
	ID     peer.ID
	Zone   string
	Member routing.State
	// Holder is true for the copies wanted, false for one more.
	Holder bool
	// Answered is false when the member did not; the fields below are zero then.
	Answered bool
	Level    Level
	// Found says that the member has a version, or a tombstone.
	Found   bool
	Version Version
	// Since is when the member's disk took this version, by its clock.
	Since   time.Time
	Size    int64 // bytes of the value
	Deleted bool
	Expires time.Time
}

// Standing sums up the records of the whole network, each counted by the first of its holders that is alive.
type Standing struct {
	// Full counts the records of which all copies wanted agree, Below those of which some are not known to, Unreachable those whose live holders are too few for a quorum.
	Full, Below, Unreachable int64
	// Complete is false when members did not answer; Missing names them.
	Complete bool
	Missing  []peer.ID
}
