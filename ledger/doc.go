// Package ledger is the ledger itself: accounts, assets, transactions, and what a block of them does to the state. It is pure: it has no network, disk, clock or goroutine, and the same
// blocks give the same state and the same results on every node.
//
// A Transaction (transaction.go) is a Body of operations (operation.go) that all happen or none, and the signatures of every account that is debited or speaks. Its encoding (codec.go,
// codec_operation.go) is canonical: equal transactions are equal bytes. A Verifier checks signatures, many at once. A Block (block.go) says which transactions may be in it, applies
// them to a view of the state, and ends in an Outcome: what changed, what became of each transaction, and who validates from then on. entry.go has what the state consists of,
// result.go how a result is proven to somebody who was not there.
package ledger
