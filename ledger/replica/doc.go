// Package replica is a node's copy of the ledger: it takes transactions from clients and tells what became of them, and answers questions about accounts, assets, blocks and validators from the
// state on its disk.
//
// What clients hand in is gathered for some milliseconds (gather.go): signatures are checked in batches, and the transactions travel together in one envelope. A submission (submit.go) is known by
// the transaction's id; handing the same in again, here or through another node, leads to the same answer. read.go has the questions.
package replica
