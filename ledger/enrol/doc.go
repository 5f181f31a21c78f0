// Package enrol lets validators that share a secret vote one another in and out: those of one owner, such as the pods of a StatefulSet, which are to become so many validators without anybody typing votes.
//
// Each has a seat, a number from 0 on, and a validator's key that it made itself. Each asks the others now and then, and an answer proves the secret and says who is in which seat (wire.go). From the ledger's
// validators and what was answered each works out by itself what the next change has to be (policy.go); when it is one and the same for a while, the operators propose and vote it as people would. The ledger knows
// nothing of seats: more than two thirds of the power must agree to every change, as to any other.
//
// Nothing is decided by time alone. There is one change at a time, none before the last is in force, and none after which those who are there would be two thirds of the power or less.
package enrol
