package moottest

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second

func TestProcessEnds(t *testing.T) {
	p, err := start(exec.Command("sh", "-c", "echo out; echo err >&2; exit 7"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code, err := p.Wait(ctx)
	if code != 7 || err != nil {
		t.Errorf("got exit code %d, %v; want 7", code, err)
	}
	if got := p.Output(); got != "out\nerr\n" {
		t.Errorf("got output %q", got)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill after the end: %v", err)
	}
}

func TestProcessIsKilled(t *testing.T) {
	p, err := start(exec.Command("sleep", "600"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a stopped process: got %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(t.Context()); code != -1 || err != nil {
		t.Errorf("got exit code %d, %v; want -1", code, err)
	}
}

func TestStartFails(t *testing.T) {
	if _, err := start(exec.Command("/nowhere/moot")); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var log tail
	for range 3 {
		log.Write([]byte(strings.Repeat("a", maxOutput-1)))
	}
	log.Write([]byte("end"))
	if got := log.String(); len(got) != maxOutput || !strings.HasSuffix(got, "aend") {
		t.Errorf("kept %d bytes ending in %q, want %d", len(got), got[len(got)-4:], maxOutput)
	}
}

func TestRunReportsCodeAndOutput(t *testing.T) {
	n := Node{Binary: "sh", Machine: Local{}, Home: t.TempDir()}
	t.Setenv("MOOT_API", "must not be seen")
	got, err := n.Run(t.Context(), "input", "-c", `cat; echo "$MOOT_API$MOOT_HOME" >&2; exit 3`)
	want := Result{Stdout: "input", Stderr: n.Home + "\n", Code: 3}
	if got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Run(ctx, "", "-c", "exit 0"); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: got %v", err)
	}
}
