//go:build e2e && linux

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/test/moottest"
)

const (
	// minPackages is fewer packages than any Debian release offers.
	minPackages = 10_000
	// readers is how many requests are under way at once when everything is read back.
	readers = 64
	// importPatience bounds the import of everything.
	importPatience = 10 * time.Minute
	// maxErrors is after how many failures a reading gives up.
	maxErrors = 10
)

// TestDebianPackages imports Debian's package index, about 63,000 names, at one of five peers, reads every key back at
// another, kills two of the five and reads every key again.
func TestDebianPackages(t *testing.T) {
	needs(t, packageIndex)
	want := debianPackages(t)
	file := writeImport(t, want)

	peers := fivePeers(t)
	importer, reader := peers[1], peers[4]
	began := time.Now()
	importer.succeed(importer.within(importPatience, "", "import", file), "import")
	logRate(t, "imported", len(want), began)

	readAll(t, "read at another peer", reader, want)
	// The peers that took part in everything so far go: the one that others were given as bootstrap and the importer.
	check(t, peers[0].Kill())
	check(t, importer.Kill())
	readAll(t, "read after two of five were killed", reader, want)
	for _, p := range peers[2:] {
		if stored := p.status().Records.Stored; stored < int64(len(want)) {
			t.Errorf("%s holds %d records, want all %d: five peers hold five copies", p.name, stored, len(want))
		}
	}
}

// fivePeers starts five peers on this machine's loopback.
func fivePeers(t *testing.T) []*peer {
	t.Helper()
	var peers []*peer
	for i := range 5 {
		args := []string{"--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0"}
		if i > 0 {
			args = append(args, "--bootstrap", peers[0].status().Addresses[0])
		}
		peers = append(peers, newPeer(t, moottest.Local{}, fmt.Sprintf("peer%d", i), args...).start())
	}
	meet(t, peers...)
	return peers
}

// debianPackages returns the version and SHA-256 of every package that apt knows, by name.
func debianPackages(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("apt-cache", "dumpavail").Output()
	check(t, err)
	packages := map[string]string{}
	fields := map[string]string{}
	for line := range strings.Lines(string(out) + "\n\n") {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if name := fields["Package"]; name != "" {
				packages["debian/"+name] = fields["Version"] + " " + fields["SHA256"]
			}
			clear(fields)
		} else if name, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") {
			fields[name] = value
		}
	}
	if len(packages) < minPackages {
		t.Fatalf("apt knows only %d packages", len(packages))
	}
	return packages
}

// writeImport writes records as moot import reads them.
func writeImport(t *testing.T, records map[string]string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "records.jsonl")
	f, err := os.Create(name)
	check(t, err)
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for key, value := range records {
		check(t, enc.Encode(struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		}{key, value}))
	}
	check(t, w.Flush())
	check(t, f.Close())
	return name
}

// readAll reads every key at p and compares.
func readAll(t *testing.T, what string, p *peer, want map[string]string) {
	t.Helper()
	url, err := p.URL()
	check(t, err)
	c, err := client.New(url, client.Options{Timeout: commandPatience})
	check(t, err)
	keys := make(chan string)
	var failures atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for range readers {
		workers.Go(func() {
			for key := range keys {
				got, err := c.GetRecord(t.Context(), key, client.GetOptions{})
				if err == nil && string(got.Value) != want[key] {
					err = fmt.Errorf("got %q, want %q", got.Value, want[key])
				}
				if err != nil && failures.Add(1) <= maxErrors {
					t.Errorf("%s: %s: %v", what, key, err)
				}
			}
		})
	}
	for key := range want {
		if failures.Load() > maxErrors {
			break
		}
		keys <- key
	}
	close(keys)
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	logRate(t, what, len(want), began)
}

func logRate(t *testing.T, what string, n int, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %d records in %v, %.0f/s", what, n, took.Round(10*time.Millisecond), float64(n)/took.Seconds())
}
