//go:build linux && kubernetes

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/moottest"
	"github.com/folkmoot/folkmoot/test/netns"
)

// limit bounds each wait; they take milliseconds, and a second where a program is started again.
const limit = time.Minute

// TestComputer starts a computer, looks at it from within and from outside, and pulls the plug.
func TestComputer(t *testing.T) {
	if err := netns.Supported(); err != nil {
		if !moottest.GapsAllowed() {
			t.Fatal(err)
		}
		t.Skipf("GAP: %v", err)
	}
	stage := filepath.Join(t.TempDir(), "stage")
	if out, err := exec.Command("go", "build", "-o", stage, "./stage").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	spec := computer(t)
	processes, err := Start(t.Context(), stage, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := processes.Kill(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := errors.Join(spec.Cgroups.Remove(), spec.Cgroups.Outer().Remove()); err != nil {
			t.Error(err)
		}
	})
	if !processes.Alive() {
		t.Fatal("it is not alive")
	}
	until(t, "its step to be over and its server to be up", func() error {
		said, err := os.ReadFile(spec.Log("machine"))
		if err == nil && !strings.Contains(string(said), "sleep is up") {
			err = fmt.Errorf("it says %q", said)
		}
		return err
	})
	inside(t, spec)
	t.Run("a program that ends is started again", func(t *testing.T) { startsAgain(t, spec) })
	t.Run("its address is reached from outside", func(t *testing.T) { forwards(t, processes) })
	t.Run("nothing outlives it", func(t *testing.T) {
		if err := processes.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if processes.Alive() {
			t.Error("it is alive")
		}
		if err := netns.Do(spec.Namespace, func() error { return dialOnce("127.0.0.1:80") }); err == nil {
			t.Error("its server answers")
		}
		if err := dialOnce(processes.Forward); err == nil {
			t.Error("its address is reached from outside")
		}
	})
}

func dialOnce(addr string) error {
	conn, err := net.Dial("tcp4", addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// computer describes one with a step that writes down what it sees, a server that echoes and a program that sleeps.
func computer(t *testing.T) *Spec {
	t.Helper()
	lab, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.Close() })
	host, err := lab.Host("computer")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := FindCgroups(fmt.Sprintf("folkmoot-machine-%d/computer", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if err := groups.Make(); err != nil {
		t.Fatal(err)
	}
	echo := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.Command("go", "build", "-o", echo, "./testdata/echo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	folder := t.TempDir()
	look := `hostname; cat /proc/self/cgroup /proc/sys/kernel/panic; ls /run; echo mine >/etc/only-here; touch /var/cache/bound; echo $$`
	return &Spec{
		Hostname:  "computer",
		Namespace: host.Name,
		Cgroups:   groups,
		Overlays:  []Overlay{{Target: "/etc", Changes: filepath.Join(folder, "etc")}},
		Tmpfs:     []string{"/run"},
		Binds:     []Bind{{From: filepath.Join(folder, "cache"), To: "/var/cache"}},
		Sysctls:   []Setting{{Name: "net/ipv4/ip_forward", Value: "1"}},
		Shown:     []Setting{{Name: "kernel/panic", Value: "4711"}},
		Programs: []Program{
			{Name: "look", Args: []string{"/bin/sh", "-c", look}, Once: true},
			{Name: "echo", Args: []string{echo, "127.0.0.1:80"}, Until: "tcp:127.0.0.1:80"},
			{Name: "sleep", Args: []string{"/bin/sleep", "1000"}, After: "tcp:127.0.0.1:80"},
		},
		Forward: "127.0.0.1:80",
		Folder:  folder,
	}
}

// inside checks what the step saw, and that the machine doesn't see what it did.
func inside(t *testing.T, spec *Spec) {
	t.Helper()
	text, err := os.ReadFile(spec.Log("look"))
	if err != nil {
		t.Fatal(err)
	}
	saw := string(text)
	if !strings.HasPrefix(saw, "computer\n") || !strings.Contains(saw, "\n4711\n") {
		t.Errorf("from inside it looks like %q", saw)
	}
	if strings.Contains(saw, "folkmoot-machine") || strings.Contains(saw, "netns") {
		t.Errorf("from inside the machine around it is seen: %q", saw)
	}
	if got, err := os.ReadFile(filepath.Join(spec.Folder, "etc", "only-here")); err != nil || string(got) != "mine\n" {
		t.Errorf("what it wrote to /etc is %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(spec.Folder, "cache", "bound")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/etc/only-here", "/var/cache/bound"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the machine has its %s: %v", name, err)
		}
	}
	if panics, err := os.ReadFile("/proc/sys/kernel/panic"); err != nil || string(panics) == "4711\n" {
		t.Errorf("the machine has its sysctl: %q, %v", panics, err)
	}
}

// startsAgain ends the echo server, which a word makes it do.
func startsAgain(t *testing.T, spec *Spec) {
	say := func(word string) error {
		return netns.Do(spec.Namespace, func() error { return talk("127.0.0.1:80", word) })
	}
	if err := say("hello"); err != nil {
		t.Fatal(err)
	}
	if err := say("end"); err == nil {
		t.Error("the server answers a word that ends it")
	}
	until(t, "the server", func() error { return say("hello") })
	if said, err := os.ReadFile(spec.Log("machine")); err != nil || !strings.Contains(string(said), "echo ended: exit status 3") {
		t.Errorf("the computer says %q, %v", said, err)
	}
}

func forwards(t *testing.T, processes *Processes) {
	if err := talk(processes.Forward, strings.Repeat("x", 1<<20)); err != nil {
		t.Error(err)
	}
}

// talk says a word, and returns an error unless that is what comes back.
func talk(addr, word string) error {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, word)
		sent <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	back, err := io.ReadAll(conn)
	if err = errors.Join(err, <-sent); err == nil && string(back) != word {
		err = fmt.Errorf("of %d bytes came back %d", len(word), len(back))
	}
	return err
}

// until waits for a condition that another process brings about.
func until(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("wait for %s: %v", what, err)
		case <-time.After(killPause):
		}
	}
}
