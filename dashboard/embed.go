// Package dashboard holds the page that a node serves: its sources in TypeScript, and what is built of them, which is a part of the program.
package dashboard

import (
	"embed"
	"io/fs"
)

//go:embed dist
var built embed.FS

// Files returns what is served, from index.html on. `make dashboard` builds it anew.
func Files() (fs.FS, error) { return fs.Sub(built, "dist") }
