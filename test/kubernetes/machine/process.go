//go:build linux

package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process names a running process for good: ids are used again, but not within one tick of the clock.
type Process struct {
	ID int
	// Started is when the process started, in ticks since the machine booted.
	Started uint64
}

// Processes are the two that a computer stands on, and what they tell of themselves.
type Processes struct {
	Keep, Init Process
	// Forward is the address on the machine's loopback that leads to the spec's.
	Forward string `json:",omitempty"`
}

// Start starts a computer and returns once its programs are being started. The stage program is the one that runs Main.
func Start(ctx context.Context, stage string, spec *Spec) (*Processes, error) {
	file, err := spec.save()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, stage, "start", file)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("start %s: %w: %s", spec.Hostname, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var p Processes
	if err := json.Unmarshal(stdout.Bytes(), &p); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Hostname, err)
	}
	return &p, nil
}

// Alive says whether the computer runs.
func (p *Processes) Alive() bool { return p != nil && p.Init.alive() }

// Kill pulls the plug, and returns once nothing of the computer is left running.
func (p *Processes) Kill(ctx context.Context) error {
	if p == nil {
		return nil
	}
	var errs []error
	for _, process := range []Process{p.Init, p.Keep} {
		errs = append(errs, process.kill(ctx))
	}
	return errors.Join(errs...)
}

// killPause is how often a killed process is looked for.
const killPause = 10 * time.Millisecond

func (p Process) kill(ctx context.Context) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.ID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.ID, err)
	}
	for p.alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d was killed and still runs: %w", p.ID, ctx.Err())
		case <-time.After(killPause):
		}
	}
	return nil
}

func (p Process) alive() bool {
	if p.ID == 0 {
		return false
	}
	now, err := processOf(p.ID)
	return err == nil && now == p
}

// processOf returns the process of that id. One that has ended counts as gone even while nobody has asked for its status, but only
// once all of its threads have: the last thread of an init takes everything else along.
func processOf(id int) (Process, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "stat"))
	if err != nil {
		return Process{}, err
	}
	s, err := parseStat(string(text))
	if err != nil {
		return Process{}, err
	}
	if (s.state == "Z" || s.state == "X") && s.threads <= 1 {
		return Process{}, syscall.ESRCH
	}
	return Process{ID: id, Started: s.started}, nil
}

// A stat is what is needed of a process's stat file.
type stat struct {
	state   string
	threads uint64
	started uint64
}

// parseStat reads a process's stat file, see proc(5).
func parseStat(text string) (s stat, err error) {
	_, rest, ok := strings.Cut(text[strings.LastIndexByte(text, ')')+1:], " ") // the name before it may hold anything
	fields := strings.Fields(rest)
	const stateField, threadsField, startField = 0, 17, 19 // fields 3, 20 and 22, counted from the one after the name
	if !ok || len(fields) <= startField {
		return stat{}, fmt.Errorf("a stat file says %q", text)
	}
	s.state = fields[stateField]
	if s.threads, err = strconv.ParseUint(fields[threadsField], 10, 64); err != nil {
		return stat{}, err
	}
	s.started, err = strconv.ParseUint(fields[startField], 10, 64)
	return s, err
}
