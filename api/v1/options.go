package v1

import "time"

// RawRecord is a record as it is: its value in any bytes, which travel as the body of a request or answer, and the rest, which travels in headers.
type RawRecord struct {
	Key     string
	Value   []byte
	Version string
	Author  string
	// Expires is zero for a record that lives for ever.
	Expires time.Time
	// Copies says on how many disks the version is known to be.
	Copies Copies
	// Session is the token of the session that the read belongs to. It may be set beside an error that says that there is no record.
	Session string
	// Envelope is the signed envelope that proves the record; nil where nobody signed it, as under kad/.
	Envelope []byte
}

// EnvelopeType is the media type of a record's signed envelope.
const EnvelopeType = "application/vnd.folkmoot.record-envelope"

// PutOptions are the options of a write; they travel in the query and in headers.
type PutOptions struct {
	// TTL is how long the record lives; 0 means for ever. A deletion takes none.
	TTL time.Duration
	// Consistency is "one", "quorum" or "all"; empty means "quorum".
	Consistency string
	// IfVersion makes the write depend on this version being the newest, IfAbsent on there being no record; at most one may be set. A condition
	// that does not hold is fault.Conflict. Across a partition conditions are best effort.
	IfVersion string
	IfAbsent  bool
	// Session is the token of an earlier answer; empty means none.
	Session string
}

// GetOptions are the options of a read; they travel in the query and in headers.
type GetOptions struct {
	// Consistency is how many holders must answer: "one", "quorum" or "all"; empty means "quorum".
	Consistency string
	// Session is the token of an earlier answer; empty means none. What is read is then never older than what the session has seen; where that
	// can't be had the error is fault.Unavailable.
	Session string
}

// MaxSession is the length limit of a session's token.
const MaxSession = 16 << 10

// LeaveOptions are the options of POST /v1/leave; they travel in the query.
type LeaveOptions struct {
	// DrainTimeout is how long the node may take to hand over what it holds; 0 means DefaultDrainTimeout.
	DrainTimeout time.Duration
}

// BackupOptions are the options of POST /v1/backup; they travel in the query.
type BackupOptions struct {
	// NoLedger leaves the ledger out, with those that it goes on from.
	NoLedger bool
	// NoPredecessors leaves out only the ledgers that the present one goes on from.
	NoPredecessors bool
}

// DefaultDrainTimeout and MaxDrainTimeout bound how long a node takes to hand over what it holds before it leaves.
const (
	DefaultDrainTimeout = 5 * time.Minute
	MaxDrainTimeout     = 24 * time.Hour
)

// MaxPage is the most entries in one page of a listing.
const MaxPage = 1000

// ListOptions select a page of a listing; they travel in the query.
type ListOptions struct {
	Prefix string
	// Cursor is that of the page before; it wins over After.
	Cursor string
	// After begins the listing behind a key, whether there is a record of it or not.
	After string
	// Limit is the most entries wanted, 1 to MaxPage; 0 means MaxPage.
	Limit int
	// Local lists what the node's disk holds rather than the whole network.
	Local bool
}
