//go:build !linux

package moottest

import "os/exec"

// killWithParent does nothing: only Linux ties a process's life to its parent's.
func killWithParent(*exec.Cmd) {}
