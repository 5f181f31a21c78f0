//go:build !linux

package process

import (
	"os"
	"syscall"
)

func childAttributes() *syscall.SysProcAttr { return nil }

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }
