package moottest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// maxOutput is how much of a process's output is kept, from the end.
const maxOutput = 256 << 10

// A Process is a program that runs, with what it wrote.
type Process struct {
	// Started is when the process was started.
	Started time.Time

	cmd    *exec.Cmd
	output tail
	ended  chan struct{}
}

// start starts cmd, whose output goes to the Process. The process is killed when this program ends, however it ends.
func start(cmd *exec.Cmd) (*Process, error) { return startAhead(cmd, "", 0) }

// startAhead is start with a wall clock that is ahead of the machine's, or behind it, from when cmd has become the given program on.
func startAhead(cmd *exec.Cmd, program string, ahead time.Duration) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	killWithParent(cmd)
	if ahead != 0 {
		traceExec(cmd)
	}
	started := make(chan error)
	go func() {
		// The kernel counts the thread that forked as the parent: it must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.Started = time.Now()
		err := cmd.Start()
		if err != nil {
			started <- err
			return
		}
		if ahead != 0 { // here, since the kernel takes the thread that forked for the one that traces
			if err = setClock(cmd.Process.Pid, program, ahead); err != nil {
				cmd.Process.Kill() // it may have ended
			}
		}
		started <- err
		cmd.Wait() // what it returns is told by the exit code
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends sig; os.ErrProcessDone says that the process has ended.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits for the process to end and returns its exit code, -1 when a signal ended it. It fails when ctx ends first.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("process %d has not ended: %w", p.PID(), ctx.Err())
	}
}

// Kill ends the process at once and waits for its end. It may be called at any time, and again.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

// Output returns the end of what the process wrote to stdout and stderr.
func (p *Process) Output() string { return p.output.String() }

// tail keeps the last maxOutput bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if extra := len(t.buf) - maxOutput; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
