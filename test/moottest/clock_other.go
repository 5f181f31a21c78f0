//go:build !linux

package moottest

import (
	"errors"
	"os/exec"
	"time"
)

var errNoClock = errors.New("the clock of one process can be set on Linux only")

// ClockSupported returns nil where a process can be given a clock that is wrong, and otherwise why not.
func ClockSupported() error { return errNoClock }

func traceExec(*exec.Cmd) {}

func setClock(int, string, time.Duration) error { return errNoClock }
