//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/moottest"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// startPatience bounds the time from starting a node until it serves.
	startPatience = 20 * time.Second
	// commandPatience bounds a command.
	commandPatience = 30 * time.Second
	// settlePatience bounds the time until peers that can find one another have done so.
	settlePatience = 30 * time.Second
	// pollInterval is the time between two looks at something awaited. A look is a command, about 0.1 s of work.
	pollInterval = 100 * time.Millisecond
)

// A peer is a node of a test.
type peer struct {
	moottest.Node
	t    *testing.T
	name string
	id   string // known once the node has started
}

// newPeer makes a node, not yet started, on machine with a home of its own. When the test fails, the node's output is shown.
func newPeer(t *testing.T, machine moottest.Machine, name string, args ...string) *peer {
	t.Helper()
	p := &peer{t: t, name: name, Node: moottest.Node{
		Binary:  binary,
		Machine: machine,
		Home:    filepath.Join(t.TempDir(), name),
		Args:    append([]string{"--network", networkName(t), "--open"}, args...),
	}}
	t.Cleanup(func() {
		check(t, p.Stop())
		if t.Failed() && p.Process != nil {
			t.Logf("output of %s (%s):\n%s", name, p.id, p.Output())
		}
	})
	return p
}

// networkName returns the name of the test's own network.
func networkName(t *testing.T) string {
	return strings.NewReplacer("/", ".", "_", "-").Replace(t.Name())
}

// inNetwork puts the peer into another open network than the test's.
func (p *peer) inNetwork(name string) *peer {
	p.Args[slices.Index(p.Args, "--network")+1] = name
	return p
}

// start starts the node and waits until it serves.
func (p *peer) start() *peer {
	p.t.Helper()
	check(p.t, p.Start())
	p.waitReady()
	return p
}

func (p *peer) waitReady() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), startPatience)
	defer cancel()
	check(p.t, p.WaitReady(ctx))
	p.id = p.status().ID
}

// command runs a moot command at the peer and returns what it did, whatever its exit code.
func (p *peer) command(stdin string, args ...string) moottest.Result {
	p.t.Helper()
	return p.within(commandPatience, stdin, args...)
}

// within is command with another bound than commandPatience.
func (p *peer) within(patience time.Duration, stdin string, args ...string) moottest.Result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	result, err := p.Run(ctx, stdin, args...)
	check(p.t, err)
	return result
}

// do runs a moot command that must succeed and returns its stdout.
func (p *peer) do(args ...string) string {
	p.t.Helper()
	return p.feed("", args...)
}

// feed is do with an input.
func (p *peer) feed(stdin string, args ...string) string {
	p.t.Helper()
	return p.succeed(p.command(stdin, args...), args...)
}

// succeed returns the stdout of a command that must have succeeded.
func (p *peer) succeed(r moottest.Result, args ...string) string {
	p.t.Helper()
	if r.Code != 0 {
		p.t.Fatalf("%s: moot %s: exit code %d\nstdout: %s\nstderr: %s", p.name, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

func (p *peer) status() v1.Node {
	p.t.Helper()
	return decode[v1.Node](p.t, p.do("status", "--json"))
}

// peers returns the peers that p knows, itself left out, by their ids.
func (p *peer) peers() map[string]v1.Peer {
	p.t.Helper()
	known := map[string]v1.Peer{}
	for _, q := range decode[v1.Peers](p.t, p.do("peers", "--json")).Peers {
		if !q.Self {
			known[q.ID] = q
		}
	}
	return known
}

// knows returns nil when the peers that p believes alive are exactly those given.
func (p *peer) knows(want ...*peer) error {
	p.t.Helper()
	var got, expected []string
	for id, q := range p.peers() {
		if q.State == "alive" {
			got = append(got, id)
		}
	}
	for _, q := range want {
		expected = append(expected, q.id)
	}
	slices.Sort(got)
	slices.Sort(expected)
	if !slices.Equal(got, expected) {
		return fmt.Errorf("%s believes %v alive, want %v", p.name, got, expected)
	}
	return nil
}

// meet waits until each of the peers believes all others alive.
func meet(t *testing.T, peers ...*peer) {
	t.Helper()
	for i, p := range peers {
		others := slices.Delete(slices.Clone(peers), i, i+1)
		eventually(t, settlePatience, func() error { return p.knows(others...) })
	}
}

// state returns in which state p sees q; "unknown" when it does not know it.
func (p *peer) state(q *peer) string {
	p.t.Helper()
	if known, ok := p.peers()[q.id]; ok {
		return known.State
	}
	return "unknown"
}

// sees waits until p sees q in one of the given states, and returns how long after since that was.
func (p *peer) sees(q *peer, since time.Time, within time.Duration, states ...string) time.Duration {
	p.t.Helper()
	eventually(p.t, time.Until(since.Add(within)), func() error {
		if state := p.state(q); !slices.Contains(states, state) {
			return fmt.Errorf("%s sees %s as %s, want %s", p.name, q.name, state, strings.Join(states, " or "))
		}
		return nil
	})
	return time.Since(since)
}

// terminate asks the node to stop and wants it to end cleanly within the time promised.
func (p *peer) terminate(within time.Duration) {
	p.t.Helper()
	began := time.Now()
	check(p.t, p.Signal(syscall.SIGTERM))
	ctx, cancel := context.WithTimeout(p.t.Context(), within)
	defer cancel()
	code, err := p.Wait(ctx)
	check(p.t, err)
	if code != 0 {
		p.t.Errorf("%s: exit code %d after SIGTERM", p.name, code)
	}
	p.t.Logf("%s stopped %v after SIGTERM", p.name, time.Since(began).Round(time.Millisecond))
}

// newLab returns an empty lab for the test.
func newLab(t *testing.T) *netns.Lab {
	t.Helper()
	needs(t, namespaces)
	lab, err := netns.New()
	check(t, err)
	t.Cleanup(func() { check(t, lab.Close()) })
	return lab
}

func newLink(t *testing.T, lab *netns.Lab, name string) *netns.Link {
	t.Helper()
	link, err := lab.Link(name)
	check(t, err)
	return link
}

// newHost returns a host that is attached to the links.
func newHost(t *testing.T, lab *netns.Lab, name string, links ...*netns.Link) *netns.Host {
	t.Helper()
	host, err := lab.Host(name)
	check(t, err)
	for _, link := range links {
		_, err := host.Attach(link)
		check(t, err)
	}
	return host
}

// join puts a router between two links, as the gateway of every host on them.
func join(t *testing.T, lab *netns.Lab, north, south *netns.Link, northern, southern []*netns.Host) {
	t.Helper()
	router := newHost(t, lab, "router", north, south)
	check(t, router.Forward())
	for _, h := range northern {
		check(t, h.Gateway(router, north))
	}
	for _, h := range southern {
		check(t, h.Gateway(router, south))
	}
}

// tcp returns the multiaddr of the default port of a host on a link.
func tcp(h *netns.Host, link *netns.Link) string {
	return fmt.Sprintf("/ip4/%s/tcp/4242", h.Addrs(link).V4.Addr())
}

// eventually tries until nothing is wrong any more, and fails with what still is after the given time.
func eventually(t *testing.T, within time.Duration, wrong func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := wrong()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", within.Round(time.Millisecond), err)
		}
		time.Sleep(pollInterval)
	}
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not the one JSON document expected: %v\n%s", err, text)
	}
	return v
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
