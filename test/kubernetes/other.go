//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "the test cluster runs on Linux alone; kind and minikube run elsewhere too, and the chart and the scenarios work on them")
	os.Exit(1)
}
