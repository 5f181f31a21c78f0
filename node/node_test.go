package node_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
)

// patience is how long a test waits for what must come about.
const patience = 30 * time.Second

// loopback is a configuration for tests: free ports on loopback, nothing looked for on the link.
func loopback(home string, bootstrap ...ma.Multiaddr) node.Config {
	return node.Config{
		Home:      home,
		Network:   "test",
		Listen:    []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		Bootstrap: bootstrap,
		API:       node.APIConfig{Listen: "127.0.0.1:0"},
	}
}

// start runs a node and returns it once it is ready, with a function that stops it and returns Run's error.
func start(t *testing.T, cfg node.Config) (*node.Node, func() error) {
	t.Helper()
	n, err := node.New(cfg.Patient())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop := func() error {
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
	select {
	case <-n.Ready():
	case err := <-done:
		t.Fatalf("run: %v", err)
	case <-t.Context().Done():
		t.Fatal("not ready in time")
	}
	return n, stop
}

func clientOf(t *testing.T, n *node.Node) *client.Client {
	t.Helper()
	c, err := client.New(n.APIURL(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// untilAlive waits until n sees the given number of peers alive, itself included.
func untilAlive(t *testing.T, n *node.Node, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		changed := n.ViewChanged()
		if n.View().Count(routing.Alive) == want {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d alive, want %d: %+v", n.View().Count(routing.Alive), want, n.View().Members)
		}
	}
}

func TestNodesKeepRecordsForOneAnother(t *testing.T) {
	first, _ := start(t, loopback(t.TempDir()))
	second, _ := start(t, loopback(t.TempDir(), first.Addrs()...))
	third, _ := start(t, loopback(t.TempDir(), first.Addrs()...))
	for _, n := range []*node.Node{first, second, third} {
		untilAlive(t, n, 3)
	}
	ctx := t.Context()
	w, err := clientOf(t, second).PutRecord(ctx, "greeting", []byte("hello"), client.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if w.Copies.Wanted != 3 || w.Copies.Configured != 5 || w.Copies.Stored < 2 {
		t.Errorf("copies %+v, want at least 2 of 3, 5 configured", w.Copies)
	}
	r, err := clientOf(t, third).GetRecord(ctx, "greeting", client.GetOptions{})
	if err != nil || string(r.Value) != "hello" || r.Author != second.ID().String() {
		t.Errorf("got %q by %s, %v; want hello by %s", r.Value, r.Author, err, second.ID())
	}
	if _, err := clientOf(t, second).Provide(ctx, "greeting"); err != nil {
		t.Fatal(err)
	}
	ps, err := clientOf(t, first).Providers(ctx, "greeting")
	if err != nil || len(ps.Providers) != 1 || ps.Providers[0].ID != second.ID().String() {
		t.Errorf("providers %+v, %v; want %s", ps, err, second.ID())
	}
	pong, err := clientOf(t, first).Ping(ctx, third.ID().String())
	if err != nil || pong.ID != third.ID().String() {
		t.Errorf("pong %+v, %v", pong, err)
	}
	transport, _ := ma.SplitLast(third.Addrs()[0])
	pong, err = clientOf(t, first).Ping(ctx, transport.String())
	if err != nil || pong.ID != third.ID().String() {
		t.Errorf("ping by address: %+v, %v", pong, err)
	}
}

func TestRestartFindsItsNetworkAndItsRecords(t *testing.T) {
	home := t.TempDir()
	other, _ := start(t, loopback(t.TempDir()))
	n, stop := start(t, loopback(home, other.Addrs()...))
	id := n.ID()
	untilAlive(t, n, 2)
	untilAlive(t, other, 2)
	if _, err := n.Records().Put(t.Context(), "k", []byte("v"), records.PutOptions{Consistency: records.All}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	untilAlive(t, other, 1)
	if m, ok := other.View().Member(id); !ok || m.State != routing.Away {
		t.Errorf("a node that said farewell is %v, want away", m.State)
	}

	again, _ := start(t, loopback(home)) // no bootstrap address this time
	if again.ID() != id {
		t.Errorf("id %s, want %s", again.ID(), id)
	}
	untilAlive(t, again, 2)
	untilAlive(t, other, 2)
	if r, err := again.Records().Get(t.Context(), "k", records.GetOptions{}); err != nil || string(r.Value) != "v" {
		t.Errorf("got %q, %v", r.Value, err)
	}
}

func TestOneNodePerHome(t *testing.T) {
	home := t.TempDir()
	start(t, loopback(home))
	_, err := node.New(loopback(home))
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), home) {
		t.Fatalf("second node: %v; want a conflict that names %s", err, home)
	}
}

func TestHomeOfAnotherNetwork(t *testing.T) {
	home := t.TempDir()
	if _, err := node.InitHome(home, "one"); err != nil {
		t.Fatal(err)
	}
	before, err := node.ReadHome(home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.InitHome(home, "two"); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("init for another network: %v; want a conflict", err)
	}
	if after, err := node.InitHome(home, "one"); err != nil || after != before {
		t.Fatalf("init again: %+v, %v; want %+v", after, err, before)
	}
}

func TestDamagedHome(t *testing.T) {
	for _, file := range []string{"network.json", "identity.key"} {
		home := t.TempDir()
		if _, err := node.InitHome(home, "test"); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(home, file)
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := node.New(loopback(home))
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), file) {
			t.Errorf("damaged %s: %v; want an error that names it", file, err)
		}
		if b, _ := os.ReadFile(path); string(b) != "{}" {
			t.Errorf("%s was overwritten", file)
		}
	}
}

func TestEmptyHomeWithoutNetwork(t *testing.T) {
	cfg := loopback(t.TempDir())
	cfg.Network = ""
	if _, err := node.New(cfg); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("got %v, want not-found", err)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	cfg := loopback(t.TempDir())
	cfg.API.Listen = taken.Addr().String()
	if _, err := node.New(cfg); err == nil || !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "--api-listen") {
		t.Errorf("API port in use: %v; want port and option", err)
	}
	cfg = loopback(t.TempDir())
	cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/" + port)}
	if _, err := node.New(cfg); err == nil || !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("swarm port in use: %v; want port and option", err)
	}
	// Nothing was left open: the same home serves once the port is another.
	cfg.Listen = nil
	cfg.Listen = append(cfg.Listen, ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	start(t, cfg)
}

func TestHealthAndMetrics(t *testing.T) {
	n, _ := start(t, loopback(t.TempDir()))
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/openapi.json", "/v1/node"} {
		res, err := http.Get(n.APIURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s", path, res.Status)
		}
	}
}

func TestRunningAPI(t *testing.T) {
	home := t.TempDir()
	n, stop := start(t, loopback(home))
	url, token, err := node.RunningAPI(home)
	if err != nil || url != n.APIURL() || token != "" {
		t.Errorf("got %q, %q, %v; want %q", url, token, err, n.APIURL())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := node.RunningAPI(home); fault.KindOf(err) != fault.NotFound {
		t.Errorf("after the stop: %v, want not-found", err)
	}
}
