//go:build e2e && linux

package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// patience bounds waits for what must happen.
const patience = 5 * time.Second

// silence is how long nothing must be heard for it to count as nothing; what arrives does so in well under a millisecond.
const silence = 300 * time.Millisecond

// TestTwoLinks builds two links that a router joins: unicast crosses it, multicast does not.
func TestTwoLinks(t *testing.T) {
	lab := newLab(t)
	north, south := must(lab.Link("north"))(t), must(lab.Link("south"))(t)
	router := newHost(t, lab, "router", north, south)
	check(t, router.Forward())
	a, b := newHost(t, lab, "a", north), newHost(t, lab, "b", north)
	c := newHost(t, lab, "c", south)
	check(t, a.Gateway(router, north))
	check(t, b.Gateway(router, north))
	check(t, c.Gateway(router, south))

	for _, to := range []struct {
		name string
		host *Host
		addr netip.Addr
	}{
		{"IPv4 on the link", b, b.Addrs(north).V4.Addr()},
		{"IPv6 on the link", b, b.Addrs(north).V6.Addr()},
		{"IPv4 across the router", c, c.Addrs(south).V4.Addr()},
		{"IPv6 across the router", c, c.Addrs(south).V6.Addr()},
	} {
		t.Run(to.name, func(t *testing.T) { check(t, echo(t, a, to.host, to.addr)) })
	}

	t.Run("multicast on the link alone", func(t *testing.T) {
		for _, group := range []string{"224.0.0.251:5353", "[ff02::fb]:5353"} {
			near, far := joinGroup(t, b, north, group), joinGroup(t, c, south, group)
			sendGroup(t, a, north, group)
			if got, err := receive(near, patience); err != nil || got != "hello" {
				t.Errorf("%s: on the same link: got %q, %v", group, got, err)
			}
			if got, err := receive(far, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: behind the router: got %q, %v", group, got, err)
			}
		}
	})

	t.Run("loopback", func(t *testing.T) { check(t, echo(t, a, a, netip.MustParseAddr("127.0.0.1"))) })
}

func TestRenumberCutsTheOldAddress(t *testing.T) {
	lab := newLab(t)
	link := must(lab.Link("link"))(t)
	a, b := newHost(t, lab, "a", link), newHost(t, lab, "b", link)
	old := b.Addrs(link)
	fresh := must(b.Renumber(link))(t)
	if old == fresh {
		t.Fatalf("still %v", fresh)
	}
	check(t, echo(t, a, b, fresh.V4.Addr()))
	check(t, echo(t, a, b, fresh.V6.Addr()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if conn, err := a.DialContext(ctx, "tcp", netip.AddrPortFrom(old.V4.Addr(), 9).String()); err == nil {
		conn.Close()
		t.Error("the old address still answers")
	}
}

func TestCommandRunsOnTheHost(t *testing.T) {
	lab := newLab(t)
	link := must(lab.Link("link"))(t)
	a := newHost(t, lab, "a", link)
	check(t, a.Resolver(netip.MustParseAddr("10.77.1.99")))

	cmd := a.Command(t.Context(), "sh", "-c", "echo $$; cat /etc/resolv.conf; ip -br address")
	var out bytes.Buffer
	cmd.Stdout = &out
	check(t, cmd.Start())
	pid := cmd.Process.Pid
	check(t, cmd.Wait())
	for _, want := range []string{fmt.Sprintf("%d\n", pid), "nameserver 10.77.1.99\n", a.Addrs(link).V4.String()} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the program's output lacks %q:\n%s", want, out.String())
		}
	}
}

// TestVisitsLeaveTheProcessWhereItIs wants the first thread, which stands for the whole process, never to enter a namespace: the process would be ended with it.
func TestVisitsLeaveTheProcessWhereItIs(t *testing.T) {
	host := newHost(t, newLab(t), "a")
	home := must(os.Readlink("/proc/self/ns/net"))(t)
	var visits sync.WaitGroup
	var first atomic.Bool // a visit began on the first thread
	for range 1000 {
		visits.Go(func() {
			runtime.LockOSThread()
			if unix.Gettid() == unix.Getpid() {
				first.Store(true)
			}
			runtime.UnlockOSThread()
			check(t, host.Do(func() error { return nil }))
		})
	}
	visits.Wait()
	if now := must(os.Readlink("/proc/self/ns/net"))(t); now != home {
		t.Errorf("the process is in %s, was in %s", now, home)
	}
	if !first.Load() {
		t.Log("the first thread took no part")
	}
}

// TestSweepAfterCrash leaves a namespace of a process that is gone, with a program in it, and finds both removed.
func TestSweepAfterCrash(t *testing.T) {
	gone := exec.Command("true")
	check(t, gone.Run())
	left := fmt.Sprintf("%s-%d-1-left", prefix, gone.Process.Pid)
	check(t, ip("netns", "add", left))
	sleeper := exec.Command("ip", "netns", "exec", left, "sleep", "600")
	check(t, sleeper.Start())
	ended := make(chan error, 1)
	go func() { ended <- sleeper.Wait() }()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) { // until it has entered the namespace
		if pids, err := output("ip", "netns", "pids", left); err == nil && strings.TrimSpace(pids) != "" {
			break
		}
		if time.Since(start) > patience {
			t.Fatal("the program never entered its namespace")
		}
	}

	lab := newLab(t)
	mine := must(lab.Host("mine"))(t)
	check(t, sweep())
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the program still runs")
	}
	list := must(output("ip", "netns", "list"))(t)
	if strings.Contains(list, left) {
		t.Error("the namespace of the dead process is still there")
	}
	if !strings.Contains(list, mine.Name) {
		t.Error("the namespace of this process was removed")
	}
}

func newLab(t *testing.T) *Lab {
	t.Helper()
	lab := must(New())(t)
	t.Cleanup(func() { check(t, lab.Close()) })
	return lab
}

func newHost(t *testing.T, lab *Lab, name string, links ...*Link) *Host {
	t.Helper()
	h := must(lab.Host(name))(t)
	for _, link := range links {
		must(h.Attach(link))(t)
	}
	return h
}

// echo sends a line from one host to another over TCP and wants it back.
func echo(t *testing.T, from, to *Host, addr netip.Addr) error {
	var listener net.Listener
	err := to.Do(func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 5)
		n, _ := conn.Read(buf)
		conn.Write(buf[:n])
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := from.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	got, err := receive(conn, patience)
	if err == nil && got != "hello" {
		err = fmt.Errorf("got %q back", got)
	}
	return err
}

// joinGroup returns a socket on the host that hears the multicast group on the link.
func joinGroup(t *testing.T, h *Host, link *Link, group string) net.Conn {
	t.Helper()
	addr := must(net.ResolveUDPAddr("udp", group))(t)
	var conn *net.UDPConn
	check(t, h.Do(func() error {
		nic, err := net.InterfaceByName(h.interfaces[link])
		if err != nil {
			return err
		}
		conn, err = net.ListenMulticastUDP("udp", nic, addr)
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func sendGroup(t *testing.T, h *Host, link *Link, group string) {
	t.Helper()
	addr := must(net.ResolveUDPAddr("udp", group))(t)
	check(t, h.Do(func() error {
		nic, err := net.InterfaceByName(h.interfaces[link])
		if err != nil {
			return err
		}
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		if addr.IP.To4() != nil {
			err = ipv4.NewPacketConn(conn).SetMulticastInterface(nic)
		} else {
			err = ipv6.NewPacketConn(conn).SetMulticastInterface(nic)
		}
		if err != nil {
			return err
		}
		_, err = conn.WriteToUDP([]byte("hello"), addr)
		return err
	}))
}

func receive(conn net.Conn, within time.Duration) (string, error) {
	conn.SetReadDeadline(time.Now().Add(within))
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must unwraps a result: must(f())(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}
