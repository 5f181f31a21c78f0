// Package frames has what protocols share that carry many messages on one long-lived stream: a Writer, which gathers what many goroutines send and writes it
// as few times as possible, and Read, which takes in a message of the length that its header says. What a header looks like is the protocol's affair.
package frames
