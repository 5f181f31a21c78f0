// Package receipt proves what is in the ledger to somebody who has nothing but a root of trust: neither a network nor the blocks. A Receipt is of a transaction, that it was in a block and
// what became of it there, or of a balance, what an account had of an asset after a block.
//
// A receipt leads from the thing itself to the root of the state, from there to a header that has this root, and along a light.Path to what is trusted. It is a JSON document with one spelling: any byte
// that differs is found out.
package receipt
