//go:build !linux

package main

import (
	"fmt"
	"os"
)

// The helm that packages is built on Linux only.
func main() {
	fmt.Fprintln(os.Stderr, "pack: Linux only; elsewhere: helm package deploy/helm/folkmoot")
	os.Exit(1)
}
