//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// readInBackground makes reads of a terminal fail, rather than stop the process, while it is in the terminal's background.
func readInBackground() { signal.Ignore(syscall.SIGTTIN) }
