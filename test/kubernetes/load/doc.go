// Package load puts a steady load of PUT and GET on a network through its HTTP API while things go wrong, and judges afterwards whether the network kept
// what it promises.
//
// A Load has a number of callers. Each makes one operation after the other at a bounded rate, within a session of its own, and goes on to the next address when one does
// not answer. Three sorts of keys are written: new ones, written once; a few of each caller's own, written over and over; and a few that all callers write. Every
// value tells which write it is of, and everything that was asked and answered is kept in a history (package sim/history).
//
// Verify reads every key once more through several nodes and then demands of the history: no acknowledged write is lost, nothing is read that was not written, a read sees what was
// acknowledged before it began, "not found" is never said of a record that is there, sessions never go backwards; and of keys with a single writer, that its newest
// acknowledged write is there, or one that it began later.
//
// Report tells for each phase how many operations went well, how long they took, and the longest time without a success.
package load
