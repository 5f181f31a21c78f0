// Package disk keeps one peer's records on its disk, in a pebble store.
//
// All writes go through one goroutine, which gathers whatever waits into one batch, lets each write compare itself with what is
// there, and syncs the batch once. So the newest copy wins atomically, writers share the cost of the sync, and nothing
// is acknowledged before the disk has it.
//
// # Layout
//
// Keys start with a byte that says what follows; numbers are big-endian. Heads and envelopes lie in the order of the keys' hashes, which is the order in
// which peers divide the records among themselves.
//
//	M name             the store's own facts: format version, network, clock ceiling, count of records
//	h hash             head of a record: all that is needed to compare, list and expire it
//	e hash             signed envelope of a record
//	k key              hash of the key, for listing
//	p hash distance    provider record; distance is the provider's hash XOR hash
//	o key              a key that this node itself provides
package disk
