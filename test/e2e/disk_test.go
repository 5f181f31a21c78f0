//go:build e2e && linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/folkmoot/folkmoot/test/moottest"
)

const (
	smallDisk = "size=48m"
	largeDisk = "size=256m"
	// fillValue is the size of the values that fill the disk; they do not compress.
	fillValue = 512 << 10
	// maxFill is more values than the small disk can hold.
	maxFill = 200
)

// TestFullDisk fills the disk of a node: the write that no longer fits says so, everything acknowledged stays readable, and
// writes work again once there is room.
func TestFullDisk(t *testing.T) {
	needs(t, mounts)
	disk := t.TempDir()
	check(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, smallDisk))
	t.Cleanup(func() { check(t, syscall.Unmount(disk, 0)) })
	p := newPeer(t, moottest.Local{}, "a", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0", "--api-listen", "127.0.0.1:0")
	p.Home = filepath.Join(disk, "home")
	p.start()

	random := rand.New(rand.NewPCG(1, 2))
	acknowledged := map[string]string{}
	var refusal moottest.Result
	for i := range maxFill {
		key, value := fmt.Sprintf("fill/%d", i), randomText(random, fillValue)
		if refusal = p.command(value, "put", key, "--file", "-"); refusal.Code != 0 {
			break
		}
		acknowledged[key] = value
	}
	if refusal.Code != 1 || strings.Count(refusal.Stderr, "\n") != 1 {
		t.Fatalf("after %d values: exit code %d, want 1 and one line on stderr:\n%s", len(acknowledged), refusal.Code, refusal.Stderr)
	}
	if message := strings.ToLower(refusal.Stderr); !strings.Contains(message, "disk") && !strings.Contains(message, "space") {
		t.Errorf("the message speaks of no disk: %s", refusal.Stderr)
	}
	t.Logf("after %d values: %s", len(acknowledged), refusal.Stderr)
	if len(acknowledged) == 0 {
		t.Error("not one value fitted")
	}

	same := func(when string) {
		t.Helper()
		for key, value := range acknowledged {
			if got := p.do("get", key); got != value {
				t.Fatalf("%s: %s gives %d other bytes", when, key, len(got))
			}
		}
	}
	same("on the full disk")

	check(t, syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, largeDisk))
	value := randomText(random, fillValue)
	eventually(t, settlePatience, func() error {
		if r := p.command(value, "put", "after", "--file", "-"); r.Code != 0 {
			return fmt.Errorf("put with room again: exit code %d: %s", r.Code, r.Stderr)
		}
		return nil
	})
	acknowledged["after"] = value
	same("with room again")

	check(t, p.Kill())
	p.start()
	same("after a crash")
}

// randomText returns n random characters.
func randomText(random *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = ' ' + byte(random.IntN('~'-' '+1))
	}
	return string(b)
}
