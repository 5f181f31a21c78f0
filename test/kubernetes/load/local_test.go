//go:build e2e

package load_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/test/kubernetes/load"
	"github.com/folkmoot/folkmoot/test/moottest"
)

const (
	localPeers = 5
	// localStretch is how long the load is watched before, during and after the fault.
	localStretch = 5 * time.Second
	// localPatience bounds a node's start, and the time until all know of all.
	localPatience = 60 * time.Second
	// gapPromise is the longest time without a success that a node which is killed or frozen may cause: its own callers go on to others within load.DefaultAttemptTimeout.
	gapPromise = 1500 * time.Millisecond
)

// TestLocalFaults puts the load on five local nodes. In the middle of it one is killed and started again, and another is frozen for a while.
func TestLocalFaults(t *testing.T) {
	binary, err := moottest.Build(t.Context(), t.TempDir())
	check(t, err)
	nodes := startNodes(t, binary)
	urls := urlsOf(t, nodes)
	l, err := load.Start(t.Context(), load.Config{Targets: urls}, "before")
	check(t, err)
	t.Cleanup(l.Stop)
	t.Logf("seed %d", l.Seed())
	time.Sleep(localStretch)

	l.Phase("SIGKILL one of five")
	victim := nodes[localPeers-1]
	check(t, victim.Kill())
	time.Sleep(localStretch)

	l.Phase("restart it")
	start(t, victim)
	meet(t, nodes)

	l.Phase("SIGSTOP another")
	check(t, nodes[0].Signal(syscall.SIGSTOP))
	time.Sleep(localStretch)

	l.Phase("SIGCONT it")
	check(t, nodes[0].Signal(syscall.SIGCONT))
	meet(t, nodes)
	time.Sleep(localStretch)
	l.Stop()

	ctx, cancel := context.WithTimeout(t.Context(), localPatience)
	defer cancel()
	if err := l.Verify(ctx, urlsOf(t, nodes)); err != nil {
		t.Error(err)
	}
	report := l.Report()
	t.Log("\n" + report.Markdown())
	for _, p := range report.Phases {
		if p.Put.Failed+p.Get.Failed > 0 || p.Gap > float64(gapPromise.Milliseconds()) {
			t.Errorf("%s: failed operations or a gap over %v: %+v", p.Name, gapPromise, p)
		}
	}
}

// startNodes starts nodes that know one another.
func startNodes(t *testing.T, binary string) (nodes []*moottest.Node) {
	t.Helper()
	first := freePort(t)
	for i := range localPeers {
		port := first
		if i > 0 {
			port = freePort(t)
		}
		n := &moottest.Node{Binary: binary, Machine: moottest.Local{}, Home: filepath.Join(t.TempDir(), fmt.Sprint(i)), Args: []string{
			"--network", t.Name(), "--open", "--mdns=false", "--api-listen", fmt.Sprintf("127.0.0.1:%d", freePort(t)),
			"--listen", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port), "--bootstrap", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", first),
		}}
		if i == 0 {
			n.Args = n.Args[:len(n.Args)-2]
		}
		t.Cleanup(func() {
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
			if t.Failed() && n.Process != nil {
				t.Logf("output of node %d:\n%s", i, n.Output())
			}
		})
		start(t, n)
		nodes = append(nodes, n)
	}
	meet(t, nodes)
	return nodes
}

func start(t *testing.T, n *moottest.Node) {
	t.Helper()
	check(t, n.Start())
	ctx, cancel := context.WithTimeout(t.Context(), localPatience)
	defer cancel()
	check(t, n.WaitReady(ctx))
}

// meet waits until every node believes all others alive and has compared what it holds with them.
func meet(t *testing.T, nodes []*moottest.Node) {
	t.Helper()
	deadline := time.Now().Add(localPatience)
	for i, url := range urlsOf(t, nodes) {
		c, err := client.New(url, client.Options{})
		check(t, err)
		defer c.Close()
		for {
			status, err := c.Node(t.Context())
			if err == nil && status.Peers.Alive == len(nodes)-1 && status.Records.ShardsSynced == status.Records.ShardsHeld && status.Records.Below == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("node %d after %v: %+v, %v", i, localPatience, status, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func urlsOf(t *testing.T, nodes []*moottest.Node) (urls []string) {
	t.Helper()
	for _, n := range nodes {
		url, err := n.URL()
		check(t, err)
		urls = append(urls, url)
	}
	return urls
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
