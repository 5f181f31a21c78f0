//go:build !unix

package main

// readInBackground does nothing: there is no background of a terminal.
func readInBackground() {}
