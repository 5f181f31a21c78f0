// Package application is the ledger as CometBFT sees it (ABCI): it decides which transactions may be in a block, carries blocks out by the rules of package ledger, and keeps what they lead to in
// a state.Store.
//
// What CometBFT calls a transaction is an Envelope here: many transactions, which a node gathered from its clients. A block holds envelopes whose signatures are all good; of their transactions
// those are carried out that may be in the block, one after the other, and the rest is passed over as if it were not there: another envelope may have brought the same before. Proposals are
// carried out when they are voted on, and what they lead to is kept until one is decided.
package application
