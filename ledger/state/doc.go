// Package state keeps the state of one ledger on disk: the entries, the tree over them whose root is the app hash, the blocks that made them, and where each transaction and account is found
// in them.
//
// A block is prepared first, which computes the root that it leads to and writes nothing, and committed once it is decided, all at once: after a crash the store is at one block or at the next,
// never in between. Commits are not synced one by one: who decides on blocks keeps them and hands the last ones in again after a power cut (Tip says from where on). Views are of one block,
// however the store goes on. A snapshot (snapshot.go) takes a view elsewhere; what is made of it has the root that it was said to have, or is refused.
package state
