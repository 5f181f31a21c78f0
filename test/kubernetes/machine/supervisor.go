//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// environment is that of every program.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "GOTRACEBACK=single"}

// A supervisor runs a computer's programs, and asks for the status of everything that ends on it, as a first process must.
type supervisor struct {
	spec *Spec

	mu      sync.Mutex
	running map[int]*run // guarded by mu; by process id
}

// A run is one life of a program.
type run struct {
	program Program
	over    chan struct{}
}

func newSupervisor(spec *Spec) *supervisor {
	return &supervisor{spec: spec, running: map[int]*run{}}
}

// run returns only when it can't go on.
func (s *supervisor) run() error {
	failed := make(chan error, 1)
	go func() { failed <- s.startAll() }()
	go s.reap()
	if err := <-failed; err != nil {
		return err
	}
	select {}
}

// startAll starts each program once the one before is up.
func (s *supervisor) startAll() error {
	for _, p := range s.spec.Programs {
		if p.After != "" {
			say("%s waits for %s", p.Name, p.After)
			awaitCondition(p.After)
		}
		r, err := s.start(p)
		if err != nil {
			return err
		}
		switch {
		case p.Once:
			<-r.over
		case p.Until != "":
			awaitCondition(p.Until)
		}
		say("%s is up", p.Name)
	}
	return nil
}

func (s *supervisor) start(p Program) (*run, error) {
	log, err := openLog(s.spec.Log(p.Name))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r := &run{program: p, over: make(chan struct{})}
	s.mu.Lock() // until it is known who it is, its end is not looked at
	defer s.mu.Unlock()
	id, err := syscall.ForkExec(p.Args[0], p.Args, &syscall.ProcAttr{
		Dir:   "/",
		Env:   environment,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	s.running[id] = r
	return r, nil
}

// reap asks for the status of processes that end, and starts programs again.
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		id, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // there is no process at the moment
			time.Sleep(restartPause / 10)
		default:
			s.ended(id, status)
		}
	}
}

func (s *supervisor) ended(id int, status syscall.WaitStatus) {
	s.mu.Lock()
	r := s.running[id]
	delete(s.running, id)
	s.mu.Unlock()
	if r == nil { // an orphan
		return
	}
	close(r.over)
	if r.program.Once && status.ExitStatus() == 0 {
		return
	}
	say("%s ended: exit status %d, signal %v", r.program.Name, status.ExitStatus(), status.Signal())
	if r.program.Once {
		return
	}
	time.AfterFunc(restartPause, func() {
		if _, err := s.start(r.program); err != nil {
			say("%v", err)
		}
	})
}

// conditionPause is how often a condition is looked at.
const conditionPause = 50 * time.Millisecond

// awaitCondition waits until the address can be connected to, at most upLimit.
func awaitCondition(condition string) {
	network, addr, err := splitCondition(condition)
	if err != nil {
		say("%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), upLimit)
	defer cancel()
	for ctx.Err() == nil {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			conn.Close()
			return
		}
		time.Sleep(conditionPause)
	}
	say("%s was not there after %v", condition, upLimit)
}

// say writes to the computer's own log.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().UTC().Format(time.RFC3339Nano)}, args...)...)
}
