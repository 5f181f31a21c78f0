package moottest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// program is the package of the program.
	program = "github.com/folkmoot/folkmoot/cmd/moot"
	// pollInterval is the time between two looks at whether a node serves.
	pollInterval = 10 * time.Millisecond
	// requestTimeout bounds one such look.
	requestTimeout = time.Second
	// killDelay is how long a command may still write after its context ended.
	killDelay = 2 * time.Second
)

// Build builds the program, with build tags if there are any, into dir and returns its path.
func Build(ctx context.Context, dir string, tags ...string) (string, error) {
	return build(ctx, dir, "-tags", strings.Join(tags, ","))
}

// BuildVersion is Build with a version that the program takes for its own.
func BuildVersion(ctx context.Context, dir, version string) (string, error) {
	return build(ctx, dir, "-ldflags", "-X main.version="+version)
}

func build(ctx context.Context, dir string, options ...string) (string, error) {
	binary := filepath.Join(dir, "moot")
	args := append([]string{"build", "-o", binary}, append(options, program)...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return binary, nil
}

// A Machine is where processes run; a netns.Host is one.
type Machine interface {
	// Command returns a command whose process is the program named.
	Command(ctx context.Context, name string, args ...string) *exec.Cmd
	// DialContext connects from the machine to an IP address and port.
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// Local is the machine that this program itself runs on.
type Local struct{}

// Command returns a command of this machine.
func (Local) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}

// DialContext connects from this machine.
func (Local) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// A Node is a home folder on a machine, with the node that runs on it.
type Node struct {
	Binary  string
	Machine Machine
	Home    string
	// Args are the options of moot run beside --home.
	Args []string
	// Ahead is how far the wall clock of the node is ahead of the machine's once it is started, in whole seconds; negative: behind. See ClockSupported.
	Ahead time.Duration

	*Process // nil before the first Start
}

// Start runs moot run. A node that ended can be started again.
func (n *Node) Start() (err error) {
	n.Process, err = startAhead(n.command(context.Background(), append([]string{"run"}, n.Args...)), n.Binary, n.Ahead)
	return err
}

// Stop ends the node at once, if it was ever started.
func (n *Node) Stop() error {
	if n.Process == nil {
		return nil
	}
	return n.Kill()
}

// WaitReady returns once the node serves, and fails when it ends or ctx ends before that.
func (n *Node) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := n.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.Ended():
			return fmt.Errorf("the node on %s ended before it was ready: %s\n%s", n.Home, n.cmd.ProcessState, n.Output())
		case <-ctx.Done():
			return fmt.Errorf("the node on %s is not ready: %w", n.Home, err)
		case <-tick.C:
		}
	}
}

// URL returns the address of the node's HTTP API, as the running node left it in its home.
func (n *Node) URL() (string, error) {
	text, err := os.ReadFile(filepath.Join(n.Home, "api.json"))
	if err != nil {
		return "", err
	}
	var running struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(text, &running); err != nil {
		return "", fmt.Errorf("read api.json: %w", err)
	}
	return running.URL, nil
}

// Ready asks the API once whether the node serves; the error has what it says.
func (n *Node) Ready(ctx context.Context) error {
	url, err := n.URL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	client := n.HTTPClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}

// HTTPClient returns a client that connects from the node's machine.
func (n *Node) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.Machine.DialContext, MaxIdleConnsPerHost: 256}}
}

// A Result is what a command did.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a moot command on the node's machine with the node's home. The error says that it could not be run or that ctx
// ended; what the command itself says is in the Result.
func (n *Node) Run(ctx context.Context, stdin string, args ...string) (Result, error) {
	cmd := n.command(ctx, args)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = killDelay
	err := cmd.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		return result, fmt.Errorf("moot %s: %w", strings.Join(args, " "), ctx.Err())
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return result, fmt.Errorf("moot %s: %w", strings.Join(args, " "), err)
	}
	return result, nil
}

// command returns a moot command that knows nothing of the environment's own options.
func (n *Node) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := n.Machine.Command(ctx, n.Binary, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MOOT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "MOOT_HOME="+n.Home)
	return cmd
}
