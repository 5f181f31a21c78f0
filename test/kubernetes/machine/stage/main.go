//go:build linux

// Command stage is the stages of package machine as a program of its own, so that a computer outlives whoever started it.
package main

import (
	"os"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
)

func main() { os.Exit(machine.Main(os.Args[1:])) }
