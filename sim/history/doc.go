// Package history judges what clients of a record store saw: it knows nothing of how the store works, only what it promises.
//
// A History is what a number of clients asked, when, and what they were answered, with the times at which the network was divided, and in the end
// what was left. Two checkers read it:
//
//   - Check holds it to the promises one by one: no acknowledged write is lost, nobody reads what nobody wrote, a read that begins after a write was acknowledged
//     sees it or a newer one, "not found" is never said of a record that was acknowledged and not deleted, sessions and nodes never go backwards.
//   - Linearizable asks porcupine, a checker of linearizability (Wing and Gong's algorithm with Lowe's improvements), whether the answers about each key could have come from a single
//     register. The store doesn't promise that across partitions, so it is for histories without.
//
// Values must be unique: that is how a read tells whose write it saw, even that of a write whose outcome was not known.
package history
