package moottest

import (
	"os/exec"
	"syscall"
)

// killWithParent makes the kernel end the process when its parent ends.
func killWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
