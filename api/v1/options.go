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
}

// PutOptions are the options of a write; they travel in the query.
type PutOptions struct {
	// TTL is how long the record lives; 0 means for ever.
	TTL time.Duration
	// Consistency is "one", "quorum" or "all"; empty means "quorum".
	Consistency string
}

// MaxPage is the most entries in one page of a listing.
const MaxPage = 1000

// ListOptions select a page of a listing; they travel in the query.
type ListOptions struct {
	Prefix string
	Cursor string
	// Limit is the most entries wanted, 1 to MaxPage; 0 means MaxPage.
	Limit int
	// Local lists what the node's disk holds rather than the whole network.
	Local bool
}
