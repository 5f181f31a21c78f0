package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
)

// bench runs commands in this process against a node's API over a backend in memory.
type bench struct {
	t       *testing.T
	backend *apitest.Backend
	home    string
	env     map[string]string
	stdin   string
	// terminal makes stdout a terminal as far as the commands can tell.
	terminal bool
	// serviceAccount is the folder of a pod's service account.
	serviceAccount string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	backend := apitest.NewBackend(nil)
	home := t.TempDir()
	return &bench{t: t, backend: backend, home: home, env: map[string]string{"MOOT_API": serve(t, backend, ""), "MOOT_HOME": home}}
}

// serve serves backend on a free port until the test ends, and returns the address.
func serve(t *testing.T, backend api.Backend, token string) string {
	t.Helper()
	server, stop, err := startServer(backend, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return server.URL()
}

func startServer(backend api.Backend, token string) (server *api.Server, stop func(), err error) {
	server, err = api.NewServer(api.Config{Backend: backend, Listen: "127.0.0.1:0", Token: token})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	return server, func() {
		cancel()
		running.Wait()
		server.Close()
	}, nil
}

// outcome is what a command wrote, and its exit code.
type outcome struct {
	code        int
	stdout, err string
}

func (b *bench) moot(args ...string) outcome {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{
		stdin: strings.NewReader(b.stdin), stdout: &stdout, stderr: &stderr, stdoutTerminal: b.terminal, serviceAccount: b.serviceAccount,
		lookupEnv: func(name string) (string, bool) {
			v, ok := b.env[name]
			return v, ok
		},
	}
	code := a.run(args)
	return outcome{code, stdout.String(), stderr.String()}
}

// must runs a command that succeeds, and returns its stdout.
func (b *bench) must(args ...string) string {
	b.t.Helper()
	got := b.moot(args...)
	if got.code != exitDone || got.err != "" {
		b.t.Fatalf("moot %s: exit %d, %s", strings.Join(args, " "), got.code, got.err)
	}
	return got.stdout
}

// fails runs a command that must fail with code, with one line on stderr that has every one of parts in it, and nothing on stdout.
func (b *bench) fails(code int, args []string, parts ...string) {
	b.t.Helper()
	got := b.moot(args...)
	if got.code != code || got.stdout != "" || strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, "moot: ") {
		b.t.Errorf("moot %q: exit %d, want %d\nstdout: %s\nstderr: %s", args, got.code, code, got.stdout, got.err)
	}
	for _, part := range parts {
		if !strings.Contains(got.err, part) {
			b.t.Errorf("moot %q: %swant in it: %s", args, got.err, part)
		}
	}
}
