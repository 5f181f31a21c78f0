package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/node"
)

// TestMain lets the test binary stand in for the program.
func TestMain(m *testing.M) {
	if os.Getenv("EMBED_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// example runs the program, and returns its exit code and what it says.
func example(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "EMBED_MAIN=1", "TMPDIR="+t.TempDir())
	text, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

var output = regexp.MustCompile(`^put orders/1: 1 of 1 copies
got orders/1 = two loaves
saw orders/2 = a cake
saw orders/3 = ten rolls
paid 2\.50: transaction [0-9a-f]{64}
proven: 1 of 1 of the voting power signed
$`)

// TestExample runs the program twice on one home: the second run goes on with the node of the first.
func TestExample(t *testing.T) {
	home := t.TempDir()
	for run := range 2 {
		if code, out := example(t, "--home", home); code != 0 || !output.MatchString(out) {
			t.Fatalf("run %d: exit code %d\n%s", run+1, code, out)
		}
	}
}

// TestHomeInUse: a home has one node at a time.
func TestHomeInUse(t *testing.T) {
	home := t.TempDir()
	n, err := node.New(node.Config{Home: home, Network: "example"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if code, out := example(t, "--home", home); code != 5 || !strings.HasPrefix(out, "embed: make the node: ") || !strings.Contains(out, home) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
