// Package process runs the programs that are measured, and tells what they use.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

const (
	// stopTimeout is how long a process may take to stop before it is killed.
	stopTimeout = 10 * time.Second
	// maxOutput is how much of a process's last output is kept to explain a failure.
	maxOutput = 4 << 10
)

// Process is a program that runs and is measured.
type Process struct {
	cmd    *exec.Cmd
	output tail
	done   chan struct{} // closed once the process is gone
	err    error         // how it ended; valid after done
}

// Start starts a program in a process group of its own, so that what is typed at the terminal reaches this process alone, with
// none of the variables in its environment that begin with prefix.
func Start(prefix, program string, args ...string) (*Process, error) {
	c := &Process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	c.cmd.Env = EnvironWithout(prefix)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	c.cmd.SysProcAttr = childAttributes()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which Stop waits for
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

// EnvironWithout returns the environment without the variables that begin with prefix.
func EnvironWithout(prefix string) []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, prefix) {
			env = append(env, variable)
		}
	}
	return env
}

// Ended returns an error when the process is gone.
func (c *Process) Ended() error {
	select {
	case <-c.done:
		return fmt.Errorf("%s ended: %w; it said: %s", c.cmd.Path, errors.Join(c.err, nil), c.output.String())
	default:
		return nil
	}
}

// Stop ends the process and returns when it is gone.
func (c *Process) Stop() error {
	if err := interrupt(c.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.cmd.Path, err)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTimeout):
	}
	err := c.cmd.Process.Kill()
	<-c.done
	return errors.Join(fmt.Errorf("%s did not stop within %v", c.cmd.Path, stopTimeout), err)
}

// Group are the processes of one cluster.
type Group []*Process

// Usage returns what they use together.
func (c Group) Usage() (sum measure.Usage, err error) {
	for _, one := range c {
		u, err := measure.UsageOf(one.cmd.Process.Pid)
		if err != nil {
			return sum, errors.Join(one.Ended(), err)
		}
		sum.Memory, sum.CPU = sum.Memory+u.Memory, sum.CPU+u.CPU
	}
	return sum, nil
}

// CPU returns the processor time that they and this process, which makes the requests, have used.
func (c Group) CPU() (time.Duration, error) {
	theirs, err := c.Usage()
	if err != nil {
		return 0, err
	}
	own, err := measure.CPU()
	return theirs.CPU + own, err
}

// Ended returns an error when one of them is gone.
func (c Group) Ended() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Ended())
	}
	return errors.Join(errs...)
}

// Stop stops all at once.
func (c Group) Stop() error {
	errs := make([]error, len(c))
	var stopping sync.WaitGroup
	for i, one := range c {
		stopping.Go(func() { errs[i] = one.Stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// tail keeps the last maxOutput bytes that were written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - maxOutput; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.buf.String())
}

// FreePorts returns TCP ports on 127.0.0.1 that nothing listens on.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only once all are known: they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
