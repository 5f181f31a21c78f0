//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// stopPromise is how long a node may take to stop after SIGTERM.
	stopPromise = 5 * time.Second
	// abortPromise is how long it may take after a second SIGINT, which asks it to drop everything.
	abortPromise = time.Second
	// refusePatience bounds the time until a node that can't start has said so.
	refusePatience = 10 * time.Second
	// continuePatience bounds the time until a node that serves asks for the rest of a request.
	continuePatience = 5 * time.Second
)

func TestTerminate(t *testing.T) {
	lab := newLab(t)
	link := newLink(t, lab, "link")
	hostA, hostB := newHost(t, lab, "a", link), newHost(t, lab, "b", link)
	a := newPeer(t, hostA, "a").start()
	b := newPeer(t, hostB, "b", "--bootstrap", tcp(hostA, link)).start()
	meet(t, a, b)

	began := time.Now()
	b.terminate(stopPromise)
	t.Logf("a sees b away %v after SIGTERM", a.sees(b, began, suspectPromise, "away"))

	// The same home starts again, with the same identity.
	id := b.id
	b.start()
	if b.id != id {
		t.Errorf("peer id after a restart: %s, was %s", b.id, id)
	}
	meet(t, a, b)
	a.terminate(stopPromise)
}

// TestTerminateWhileBusy stops nodes that have a request under way and whose farewell one peer does not answer: in time
// after SIGTERM, at once after a second SIGINT.
func TestTerminateWhileBusy(t *testing.T) {
	lab := newLab(t)
	link := newLink(t, lab, "link")
	hostA, hostB, hostC := newHost(t, lab, "a", link), newHost(t, lab, "b", link), newHost(t, lab, "c", link)
	a := newPeer(t, hostA, "a").start()
	b := newPeer(t, hostB, "b", "--bootstrap", tcp(hostA, link)).start()
	c := newPeer(t, hostC, "c", "--bootstrap", tcp(hostA, link)).start()
	meet(t, a, b, c)
	check(t, a.Signal(syscall.SIGSTOP))

	beginRequest(t, c)
	c.terminate(stopPromise)

	beginRequest(t, b)
	check(t, b.Signal(syscall.SIGINT))
	time.Sleep(pollInterval) // signals that wait together count as one
	check(t, b.Signal(syscall.SIGINT))
	ctx, cancel := context.WithTimeout(t.Context(), abortPromise)
	defer cancel()
	code, err := b.Wait(ctx)
	check(t, err)
	if want := 128 + int(syscall.SIGINT); code != want {
		t.Errorf("exit code %d after two SIGINT, want %d", code, want)
	}
}

// beginRequest sends the node's API the beginning of a request, which stays under way until the test ends. It returns when the node has
// asked for the rest: a connection that no handler has taken up yet would not keep the node from stopping.
func beginRequest(t *testing.T, p *peer) {
	t.Helper()
	url, err := p.URL()
	check(t, err)
	host := strings.TrimPrefix(url, "http://")
	conn, err := p.Machine.DialContext(t.Context(), "tcp", host)
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetReadDeadline(time.Now().Add(continuePatience)))
	_, err = fmt.Fprintf(conn, "PUT /v1/records/slow HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", host)
	check(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	check(t, err)
	if !strings.Contains(line, " 100 ") {
		t.Fatalf("the node answers the beginning of a request with %q", line)
	}
	_, err = fmt.Fprint(conn, "half")
	check(t, err)
}

// TestPortInUse wants the option named that takes another port.
func TestPortInUse(t *testing.T) {
	lab := newLab(t)
	host := newHost(t, lab, "a", newLink(t, lab, "link"))
	first := newPeer(t, host, "first").start()
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"--api-listen", "127.0.0.1:7071"}, []string{"4242", "--listen"}},
		{[]string{"--listen", "/ip4/0.0.0.0/tcp/4243"}, []string{"7070", "--api-listen"}},
	} {
		out := refused(t, newPeer(t, host, "second", tt.args...))
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("with %v: the message lacks %q:\n%s", tt.args, want, out)
			}
		}
	}
	first.status() // it still serves
}

func TestTwoNodesOnOneHome(t *testing.T) {
	lab := newLab(t)
	host := newHost(t, lab, "a", newLink(t, lab, "link"))
	first := newPeer(t, host, "first").start()
	second := newPeer(t, host, "second", "--listen", "/ip4/0.0.0.0/tcp/0", "--api-listen", "127.0.0.1:0")
	second.Home = first.Home
	if out := refused(t, second); !strings.Contains(out, first.Home) {
		t.Errorf("the message does not name the home %s:\n%s", first.Home, out)
	}
	first.do("put", "key", "value")
	if out := first.do("get", "key"); out != "value" {
		t.Errorf("the first node gives %q", out)
	}

	// A node that was killed leaves nothing that keeps the next one out.
	check(t, first.Kill())
	first.start()
	if out := first.do("get", "key"); out != "value" {
		t.Errorf("after a restart the node gives %q", out)
	}
}

// refused starts a node that can't start and returns what it printed.
func refused(t *testing.T, p *peer) string {
	t.Helper()
	check(t, p.Start())
	ctx, cancel := context.WithTimeout(t.Context(), refusePatience)
	defer cancel()
	code, err := p.Wait(ctx)
	check(t, err)
	if code <= 0 {
		t.Errorf("exit code %d, want a failure:\n%s", code, p.Output())
	}
	return p.Output()
}
