//go:build linux

package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// commandTimeout bounds each run of the ip program; it normally takes a few milliseconds.
	commandTimeout = 10 * time.Second
	// maxLinks is how many links a lab can have: each has a number that is part of its subnets.
	maxLinks = 250
	// prefix begins the name of every namespace made here.
	prefix = "moottest"
)

// A Lab is a set of hosts and links, which end together with it.
type Lab struct {
	mu         sync.Mutex
	namespaces []string // guarded by mu; in the order they were made
	links      int      // guarded by mu
	interfaces int      // guarded by mu; makes interface names unique within the lab
	serial     int64
}

// Supported returns nil when this machine can run labs, and otherwise what it lacks.
func Supported() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("network namespaces need the ip program (Debian package iproute2)")
	}
	lab, err := New()
	if err != nil {
		return err
	}
	defer lab.Close()
	a, err := lab.Host("a")
	if err != nil {
		return fmt.Errorf("this machine makes no network namespaces: %w", err)
	}
	link, err := lab.Link("l")
	if err != nil {
		return fmt.Errorf("this machine makes no bridges: %w", err)
	}
	if _, err := a.Attach(link); err != nil {
		return fmt.Errorf("this machine makes no virtual Ethernet: %w", err)
	}
	return nil
}

// New returns an empty lab. The caller closes it.
func New() (*Lab, error) {
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove what a former run left: %w", err)
	}
	return &Lab{serial: time.Now().UnixNano() % 1e6}, nil
}

// Close removes the lab's namespaces with everything in them. Processes that still run in them keep theirs alive, unnamed
// and unreachable: end them first.
func (l *Lab) Close() error {
	l.mu.Lock()
	names := l.namespaces
	l.namespaces = nil
	l.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, remove(name))
	}
	return errors.Join(errs...)
}

// namespace makes a namespace with a working loopback.
func (l *Lab) namespace(name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := fmt.Sprintf("%s-%d-%d-%s", prefix, os.Getpid(), l.serial, name)
	if err := ip("netns", "add", full); err != nil {
		return "", err
	}
	l.namespaces = append(l.namespaces, full)
	return full, ip("-n", full, "link", "set", "lo", "up")
}

func (l *Lab) nextInterface() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interfaces++
	return fmt.Sprintf("v%d", l.interfaces)
}

func remove(namespace string) error {
	return errors.Join(ip("netns", "delete", namespace), os.RemoveAll(configDir(namespace)))
}

var ours = regexp.MustCompile(`^` + prefix + `-(\d+)-\d+-`)

// sweep removes the namespaces of processes that are gone, and ends what still runs in them.
func sweep() error {
	out, err := output("ip", "netns", "list")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ") // may be followed by (id: N)
		match := ours.FindStringSubmatch(name)
		if match == nil || running(match[1]) {
			continue
		}
		errs = append(errs, EndAll(name), remove(name))
	}
	return errors.Join(errs...)
}

func running(pid string) bool {
	_, err := os.Stat("/proc/" + pid)
	return err == nil
}

// EndAll kills the processes in a namespace, for one that a crashed run has left behind.
func EndAll(namespace string) error {
	out, err := output("ip", "netns", "pids", namespace)
	if err != nil {
		return err
	}
	var errs []error
	for _, field := range strings.Fields(out) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("ip netns pids printed %q", field)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func ip(args ...string) error {
	_, err := output("ip", args...)
	return err
}

// IP runs the ip program and returns what it prints.
func IP(args ...string) (string, error) { return output("ip", args...) }

func output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
