// Package disk keeps one peer's records on its disk, in a pebble store.
//
// All writes go through one goroutine, the committer, which gathers whatever waits into one batch, lets each write compare itself with what is there, and syncs the batch
// once. So the newest copy wins atomically, writers share the cost of the sync, and nothing is acknowledged before the disk has it. The committer also numbers what it
// stores, which makes the order of changes, and keeps a digest of each shard in memory, of now and of any moment of the last minutes.
//
// # Layout
//
// Keys start with a byte that says what follows; numbers are big-endian. Heads and envelopes lie in the order of the keys' hashes, so that a shard is a range.
//
//	M name             the store's own facts: format version, network, epoch, totals, clock ceiling, damaged shards, notes of the layer above
//	c sequence         hash of the key that was last written as this change
//	h hash             head of a record: all that is needed to compare, list and expire it
//	e hash             sequence, signed envelope of a record
//	f ...              values and providers of foreign Kademlia peers
//	k key              hash of the key, for listing
//	p hash distance    provider record; distance is the provider's hash XOR hash
//	o key              a key that this node itself provides
//	s key              while a damaged store is salvaged: the newest entry found of a key
//
// # Damage
//
// What can be read is served; what can't is dropped, so that digests, lists and look-ups agree that it is absent, and its shard is marked as damaged until the layer above
// has compared it with other holders. Single unreadable blocks are cut out of the open store (mend.go). A store that pebble can't open, or opens only as it
// once was, is moved aside, and its files are read one by one (salvage.go); a label file beside pebble's own tells the one from the other.
package disk
