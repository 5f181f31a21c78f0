package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// unknownPeer is the id of a peer that no backend knows.
const unknownPeer = "12D3KooWLr1gYejUTeriAsSu6roR2aQ423G3Q4fFTqzqSwTsMz9n"

func TestPeersAndFind(t *testing.T) {
	b := newBench(t)
	b.backend.AddPeer(v1.Peer{ID: unknownPeer, State: "suspect", Zone: "zone\x1b[31m", Addresses: []string{}})
	got := b.must("peers")
	for _, want := range []string{apitest.Self, "this node", apitest.Other + "  alive", "0.25 ms", "mdns", "suspect", "zone\uFFFD[31m"} {
		if !strings.Contains(got, want) {
			t.Errorf("peers: no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Error("another peer's text reaches the terminal as it is")
	}
	got = b.must("find", apitest.Other)
	for _, want := range []string{"peer id", apitest.Other, "/ip4/192.0.2.2/tcp/4242"} {
		if !strings.Contains(got, want) {
			t.Errorf("find: no %q in\n%s", want, got)
		}
	}
}

func TestUnknownPeers(t *testing.T) {
	b := newBench(t)
	b.fails(exitNotFound, []string{"find", unknownPeer}, unknownPeer, "moot peers")
	b.fails(exitNotFound, []string{"ping", unknownPeer}, unknownPeer, "moot peers")
}

func TestStatus(t *testing.T) {
	b := newBench(t)
	got := b.must("status")
	for _, want := range []string{apitest.Self, "test (open)", "yes", "1 alive, 0 suspect", "2 of 2; 5 wanted; quorum 2", "0 at full count, 0 below, 0 unreachable"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	b.backend.SetReady(fault.New(fault.Unavailable, "looking for peers"))
	if got := b.must("status"); !strings.Contains(got, "no: looking for peers") {
		t.Error(got)
	}
}

func TestStatusOfTheWholeNetwork(t *testing.T) {
	b := newBench(t)
	b.backend.SetStanding(1200, 3, 1)
	if got := b.must("status"); !strings.Contains(got, "1,200 at full count, 3 below, 1 unreachable\n") {
		t.Error(got)
	}
	b.backend.SetMissing(apitest.Other)
	if got := b.must("status"); !strings.Contains(got, "1 unreachable; incomplete: 1 peer did not answer\n") {
		t.Error(got)
	}
	if got := b.must("status", "--json"); !strings.Contains(got, `"below": 3`) || !strings.Contains(got, `"complete": false`) || !strings.Contains(got, `"shards_held": 4096`) {
		t.Error(got)
	}
	b.backend.Intercept(func(_ context.Context, method string) error {
		if method == "Standing" {
			return fault.New(fault.Unavailable, "the network is gone")
		}
		return nil
	})
	if got := b.must("status"); !strings.Contains(got, "unknown: the network is gone") {
		t.Error(got)
	}
	if got := b.must("status", "--json"); !strings.Contains(got, `"standing_problem": "the network is gone"`) {
		t.Error(got)
	}
}

func TestPing(t *testing.T) {
	b := newBench(t)
	got := b.must("ping", apitest.Other, "-c", "2")
	line := apitest.Other + " at /ip4/192.0.2.2/tcp/4242: 0.25 ms\n"
	if got != line+line+"2 of 2 pings answered: min 0.25 ms, avg 0.25 ms, max 0.25 ms\n" {
		t.Errorf("%q", got)
	}
	if got := b.must("ping", "/ip4/192.0.2.2/tcp/4242", "-c", "1"); !strings.Contains(got, "1 of 1 ping answered") {
		t.Error(got)
	}
	b.fails(exitIncomplete, []string{"ping", "/ip4/192.0.2.9/tcp/1"}, "/ip4/192.0.2.9/tcp/1", "connection refused")
}

func TestPingLosesOne(t *testing.T) {
	b := newBench(t)
	pings := 0
	b.backend.Intercept(func(context.Context, string) error {
		if pings++; pings == 2 {
			return fault.New(fault.Unavailable, "no answer")
		}
		return nil
	})
	got := b.moot("ping", apitest.Other, "-c", "3")
	if got.code != exitDone || !strings.Contains(got.stdout, "2 of 3 pings answered") || !strings.Contains(got.err, "no answer to ping 2") {
		t.Errorf("%+v", got)
	}
}

func TestPingResult(t *testing.T) {
	var r pingResult
	for _, rtt := range []int64{300, 100, 200} {
		r.add(v1.Pong{ID: "p", RTTMicros: rtt})
	}
	if r.Min != 100 || r.Avg != 200 || r.Max != 300 || r.Answered != 3 {
		t.Errorf("%+v", r)
	}
}

func TestNoNodeRuns(t *testing.T) {
	b := newBench(t)
	b.env["MOOT_API"] = "127.0.0.1:1"
	for _, args := range [][]string{{"status"}, {"get", "k"}, {"peers"}, {"shell"}, {"import", "-"}} {
		b.stdin = "GET k\n"
		b.fails(exitIncomplete, args, "no node answers at http://127.0.0.1:1", "moot run", "--api")
	}
}

func TestTokens(t *testing.T) {
	b := newBench(t)
	b.env["MOOT_API"] = serve(t, b.backend, "secret")
	b.fails(exitFailed, []string{"status"}, "--token-file")
	b.env["MOOT_TOKEN"] = "secret\n" // as a Kubernetes Secret often has it
	b.must("status")
	b.env["MOOT_TOKEN"] = "two words"
	b.fails(exitUsage, []string{"status"}, "MOOT_TOKEN", "one line")
	b.env["MOOT_TOKEN"] = "secret"

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(exitFailed, []string{"status", "--token-file", file}, "--token-file")
	b.env["MOOT_TOKEN_FILE"] = file
	b.must("status") // the token itself wins over a file that only a variable names
	delete(b.env, "MOOT_TOKEN")
	b.fails(exitFailed, []string{"status"}, "--token-file")

	for _, text := range []string{"", "two words", strings.Repeat("x", maxToken+1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.fails(exitUsage, []string{"status"}, file, "one line")
	}
	b.fails(exitFailed, []string{"status", "--token-file", file + "-not"}, "no such file")
}

// TestTheHomesTokenStaysAtHome checks that the token that the running node left in the home goes to that node alone.
func TestTheHomesTokenStaysAtHome(t *testing.T) {
	b := newBench(t)
	own := serve(t, b.backend, "secret")
	other := b.env["MOOT_API"]
	doc, err := json.Marshal(map[string]any{"url": own, "token": "secret", "pid": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.home, "api.json"), doc, 0o600); err != nil {
		t.Fatal(err)
	}
	target := func(api string) (url, token string) {
		a := &app{home: b.home, api: api, timeout: time.Second, lookupEnv: func(string) (string, bool) { return "", false }}
		url, token, err := a.target()
		if err != nil {
			t.Fatal(err)
		}
		return url, token
	}
	if url, token := target(""); url != own || token != "secret" {
		t.Errorf("the home's node: %s, token %q", url, token)
	}
	if url, token := target(own + "/"); url != own+"/" || token != "secret" {
		t.Errorf("the home's node by name: %s, token %q", url, token)
	}
	if url, token := target(other); url != other || token != "" {
		t.Errorf("another node: %s, token %q", url, token)
	}
	delete(b.env, "MOOT_API")
	b.must("status")
}
