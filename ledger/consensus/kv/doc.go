// Package kv keeps what CometBFT stores in pebble: several databases with CometBFT's interface, called spaces, share one set of files.
//
// A space behaves as the databases of cometbft-db do, which the tests hold it to: keys are not empty and values not nil, an absent key reads as
// nil, iterators see the store as it was when they were made, a batch is written whole or not at all. A plain write may be lost when
// the machine loses power, a synced one not; because the files are shared, neither can anything that was written before a synced one, to whatever space.
package kv
