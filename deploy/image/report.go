package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// report is what --json prints; sizes are in bytes.
type report struct {
	References []string         `json:"references"`
	Digest     string           `json:"digest"`
	Version    string           `json:"version"`
	Created    time.Time        `json:"created"`
	Archive    string           `json:"archive"`
	Size       int64            `json:"size"`
	Platforms  []platformReport `json:"platforms"`
}

type platformReport struct {
	Platform string `json:"platform"`
	Program  int64  `json:"program"`
	Modules  int    `json:"modules"`
	// Unlicensed are the modules whose licence was not recognised.
	Unlicensed []string `json:"unlicensed,omitempty"`
	SBOM       string   `json:"sbom"`
}

func (r report) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, reference := range r.References {
		fmt.Fprintf(table, "image\t%s\n", reference)
	}
	fmt.Fprintf(table, "digest\t%s\n", r.Digest)
	fmt.Fprintf(table, "archive\t%s, %s\n", r.Archive, megabytes(r.Size))
	for _, p := range r.Platforms {
		fmt.Fprintf(table, "%s\tprogram of %s from %d modules, listed in %s\n", p.Platform, megabytes(p.Program), p.Modules, p.SBOM)
		for _, path := range p.Unlicensed {
			fmt.Fprintf(table, "\tlicence not recognised: %s\n", path)
		}
	}
	table.Flush()
	fmt.Fprintf(w, `
Load it, then use it as %[2]s:
  go run ./test/kubernetes load %[1]s    our own two nodes
  kind load image-archive %[1]s
  minikube image load %[1]s
  ctr --namespace k8s.io images import %[1]s    a node with containerd
  docker load --input %[1]s
`, r.Archive, r.References[0])
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
