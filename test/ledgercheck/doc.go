// Package ledgercheck judges a ledger by what its clients were told and by what its nodes have in the end. It knows nothing of how the ledger works, only what it promises.
//
// A History is what clients handed in, when, and what they were answered. A Chain is what one node has: its blocks from the first on, and what it says that accounts have. Check reads both
// and returns the promises that they show to be broken. All amounts are of one asset, in its smallest unit.
package ledgercheck
