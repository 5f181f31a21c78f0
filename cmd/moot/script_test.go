package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/node"
)

// TestMain lets the scripts run the program, which this test binary is when it is called moot.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"moot":     main,
		"stubborn": stubborn,
	})
}

// stubborn is a command that does not stop when it is asked to. It makes the file that its argument names when it was asked.
func stubborn() {
	err := newApp().untilSignal(context.Background(), func() { fmt.Println("at once") }, func(ctx context.Context) error {
		fmt.Fprintln(os.Stderr, "started", os.WriteFile(os.Args[1]+"-started", nil, 0o600))
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "asked", os.WriteFile(os.Args[1]+"-asked", nil, 0o600))
		select {}
	})
	fmt.Println("stopped", err)
}

// TestScripts runs the program as its users do. The scripts in testdata/script tell what it does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // under the race detector every command would wait a second at its end
			env.Setenv("OTHER", apitest.Other)
			env.Setenv("STRANGER", unknownPeer)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"address":   scriptAddress,
			"await":     scriptAwait,
			"backend":   scriptBackend,
			"demo":      scriptDemo,
			"exit":      scriptExit,
			"jsonlines": scriptJSONLines,
			"ready":     scriptReady,
			"terminate": scriptTerminate,
		},
	})
}

// scriptBackend is "backend": commands talk to a node's API over records in memory from here on.
func scriptBackend(ts *testscript.TestScript, _ bool, _ []string) {
	server, stop, err := startServer(apitest.NewBackend(nil), "")
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("MOOT_API", server.URL())
}

// scriptExit is "exit CODE COMMAND…": the command must exit with the code.
func scriptExit(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit %d, want %d", code, want)
	}
}

const (
	// scriptPatience bounds the wait for a process on a machine that is busy.
	scriptPatience = 2 * time.Minute
	scriptPoll     = 10 * time.Millisecond
)

// scriptReady is "ready HOME PEERS": waits until the node that runs on the home serves and sees as many others alive.
func scriptReady(ts *testscript.TestScript, _ bool, args []string) {
	peers, err := strconv.Atoi(args[1])
	ts.Check(err)
	scriptPollUntil(ts, fmt.Sprintf("node on %s with %d peers", args[0], peers), func() error {
		url, token, err := node.RunningAPI(ts.MkAbs(args[0]))
		if err != nil {
			return err
		}
		c, err := client.New(url, client.Options{Token: token})
		if err != nil {
			return err
		}
		defer c.Close()
		n, err := c.Node(context.Background())
		if err == nil && (!n.Ready || n.Peers.Alive < peers) {
			err = fmt.Errorf("ready: %t, %+v", n.Ready, n.Peers)
		}
		return err
	})
}

// scriptAddress is "address FILE": ADDRESS is from here on the first address in the status in the file.
func scriptAddress(ts *testscript.TestScript, _ bool, args []string) {
	var n v1.Node
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &n))
	ts.Setenv("ADDRESS", n.Addresses[0])
}

// scriptDemo is "demo FILE": waits until the file is what moot demo --json prints; API1, API2 and so on are then the peers' addresses,
// and DEMO is the demo's own folder.
func scriptDemo(ts *testscript.TestScript, _ bool, args []string) {
	var doc struct{ Peers []runningNode }
	scriptPollUntil(ts, args[0], func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &doc)
	})
	for i, p := range doc.Peers {
		ts.Setenv(fmt.Sprintf("API%d", i+1), p.API)
		ts.Setenv("DEMO", filepath.Dir(p.Home))
	}
}

// scriptAwait is "await FILE [TEXT]": waits until the file exists and has the text in it.
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	scriptPollUntil(ts, args[0], func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && len(args) > 1 && !strings.Contains(string(text), args[1]) {
			err = fmt.Errorf("it says %q", text)
		}
		return err
	})
}

// scriptJSONLines is "jsonlines FILE TEXT…": each line of the file, or of stderr, is a JSON object with a time, a level and a message, and each text is in one of them.
func scriptJSONLines(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for line := range strings.Lines(text) {
		var entry struct {
			Time       time.Time
			Level, Msg string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" || !strings.HasSuffix(line, "}\n") {
			ts.Fatalf("%q is no entry: %v", line, err)
		}
		if name := nameGivenTwice(line); name != "" {
			ts.Fatalf("%s comes twice in %q", name, line)
		}
	}
	for _, want := range args[1:] {
		if !strings.Contains(text, want) {
			ts.Fatalf("no %q in\n%s", want, text)
		}
	}
}

// nameGivenTwice returns a name that comes twice in a JSON object, or nothing.
func nameGivenTwice(object string) string {
	names := map[string]bool{}
	d := json.NewDecoder(strings.NewReader(object))
	_, err := d.Token()
	for err == nil && d.More() {
		name, _ := d.Token()
		if names[name.(string)] {
			return name.(string)
		}
		names[name.(string)] = true
		var value json.RawMessage
		err = d.Decode(&value)
	}
	return ""
}

// scriptTerminate is "terminate": sends SIGTERM to the background command that was started last.
func scriptTerminate(ts *testscript.TestScript, _ bool, _ []string) {
	running := ts.BackgroundCmds()
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGTERM))
}

func scriptPollUntil(ts *testscript.TestScript, what string, try func() error) {
	var err error
	for deadline := time.Now().Add(scriptPatience); time.Now().Before(deadline); time.Sleep(scriptPoll) {
		// A process that ended will not become ready.
		if slices.ContainsFunc(ts.BackgroundCmds(), func(c *exec.Cmd) bool {
			return errors.Is(c.Process.Signal(syscall.Signal(0)), os.ErrProcessDone)
		}) {
			ts.Fatalf("%s: a background command ended: %v", what, err)
		}
		if err = try(); err == nil {
			return
		}
	}
	ts.Fatalf("%s: %v", what, err)
}
