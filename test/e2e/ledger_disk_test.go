//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// townDisk is the size of the disk of the validator whose disk gets full.
const townDisk = "size=192m"

// TestLedgerFullDisk fills the disk of one of four validators to the last byte, while people pay: it stops, says why, and can be read; the others go on. When there is room it goes on by itself and votes, and so it does
// after it was stopped or killed meanwhile. Nothing is lost.
func TestLedgerFullDisk(t *testing.T) {
	needs(t, mounts)
	var poor *peer
	n := newTownIn(t, func(n *town) {
		poor = n.peers[n.random.IntN(validators)]
		check(t, os.MkdirAll(poor.Home, 0o755))
		check(t, syscall.Mount("tmpfs", poor.Home, "tmpfs", 0, townDisk))
		t.Cleanup(func() {
			check(t, poor.Stop())
			check(t, syscall.Unmount(poor.Home, 0))
		})
	})
	poor.do("put", "deed", "kept")
	load := n.pay()
	n.acknowledged(10)
	for _, end := range []string{"", "terminated", "killed"} {
		room := fill(t, poor.Home)
		n.outOfRoom(poor)
		n.acknowledgedAfter("one disk is full", 20)
		switch end {
		case "terminated":
			check(t, poor.Signal(syscall.SIGTERM))
			ctx, cancel := context.WithTimeout(t.Context(), startPatience)
			defer cancel()
			began := time.Now()
			code, err := poor.Wait(ctx)
			check(t, err)
			t.Logf("on a full disk it has stopped %s after SIGTERM, with exit code %d", time.Since(began).Round(time.Millisecond), code)
		case "killed":
			check(t, poor.Kill())
		}
		began := time.Now()
		room()
		if end != "" {
			n.start(poor)
		}
		eventually(t, ledgerPatience, func() error { return poor.Ready(t.Context()) })
		n.reach(n.height(n.other(poor)), poor)
		t.Logf("%q: caught up %s after there was room", end, time.Since(began).Round(time.Millisecond))
	}
	// Nothing is decided without its vote now.
	away := n.other(poor)
	check(t, away.Kill())
	n.acknowledgedAfter("another one is away", 5)
	n.start(away)
	load.end()
	n.audit()
}

// other returns a validator that is not p.
func (n *town) other(p *peer) *peer {
	for _, q := range n.peers {
		if q != p {
			return q
		}
	}
	return nil
}

// fill takes all that is free of the disk of a folder, until the function that it returns is called.
func fill(t *testing.T, dir string) (room func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	check(t, err)
	defer f.Close()
	for size := int64(64 << 20); size > 0; { // the largest pieces that fit, to the last byte
		var at int64
		if info, err := f.Stat(); err == nil {
			at = info.Size()
		}
		if syscall.Fallocate(int(f.Fd()), 0, at, size) != nil {
			size /= 2
		}
	}
	return func() { check(t, os.Remove(f.Name())) }
}

// outOfRoom waits until a peer says that its disk is full, and wants it to be read all the same.
func (n *town) outOfRoom(p *peer) {
	n.t.Helper()
	eventually(n.t, ledgerPatience, func() error {
		err := p.Ready(n.t.Context())
		if err == nil || !strings.Contains(err.Error(), "goes on by itself") {
			return fmt.Errorf("%s is ready: %v", p.name, err)
		}
		return nil
	})
	s, err := n.status(p)
	check(n.t, err)
	if !strings.Contains(s.Problem, "MiB") || s.Height == 0 {
		n.t.Errorf("%s is at height %d, and says: %q", p.name, s.Height, s.Problem)
	}
	if got := p.do("get", "deed"); got != "kept" {
		n.t.Errorf("%s has the record %q", p.name, got)
	}
	if _, err := n.clients[0].Account(n.t.Context(), n.people[0].id.String()); err != nil {
		n.t.Errorf("an account without room: %v", err)
	}
	r := p.command("", "ledger", "anchor", "/etc/hostname", "--by", "operator", "--timeout", shortTimeout)
	if r.Code != 4 || !strings.Contains(r.Stderr, "goes on by itself") {
		n.t.Errorf("a transaction without room: exit code %d, want 4: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
