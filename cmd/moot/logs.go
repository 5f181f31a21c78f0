package main

import (
	"log/slog"

	"github.com/folkmoot/folkmoot/swarm"
)

// directLibraryLogs makes the libraries that log to globals log to l, at level Debug.
func directLibraryLogs(l *slog.Logger) {
	swarm.DirectLibraryLogs(l)
	slog.SetLogLoggerLevel(slog.LevelDebug) // of what is written through package log
	slog.SetDefault(l)
}
