//go:build e2e && linux

package netns

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// reaches reports whether a connection from one host to another comes about.
func reaches(t *testing.T, from, to *Host, link *Link) bool {
	t.Helper()
	return echo(t, from, to, to.Addrs(link).V4.Addr()) == nil && echo(t, from, to, to.Addrs(link).V6.Addr()) == nil
}

// cut reports whether no connection from one host to another comes about.
func cut(t *testing.T, from, to *Host, link *Link) bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), silence)
	defer stop()
	conn, err := from.DialContext(ctx, "tcp", net.JoinHostPort(to.Addrs(link).V4.Addr().String(), "9"))
	if err == nil {
		conn.Close()
	}
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout() // where nothing is lost the connection is refused
}

func TestSplit(t *testing.T) {
	lab := newLab(t)
	link := must(lab.Link("link"))(t)
	a, b := newHost(t, lab, "a", link), newHost(t, lab, "b", link)
	c, d := newHost(t, lab, "c", link), newHost(t, lab, "d", link)
	for range 2 {
		if !reaches(t, a, b, link) || !reaches(t, a, c, link) || !reaches(t, c, d, link) {
			t.Fatal("a whole link does not carry")
		}
		check(t, link.Split(c, d))
		if !reaches(t, a, b, link) || !reaches(t, c, d, link) {
			t.Error("a part does not carry")
		}
		if !cut(t, a, c, link) || !cut(t, d, b, link) {
			t.Error("the parts reach one another")
		}
		check(t, link.Split(d))
		if !cut(t, c, d, link) {
			t.Error("a part that was divided is whole")
		}
		check(t, link.Heal(c, d))
	}
	other := must(lab.Link("other"))(t)
	if other.Split(a) == nil || other.Heal(a) == nil {
		t.Error("a host that is not on the link was moved")
	}
}

func TestLose(t *testing.T) {
	lab := newLab(t)
	link := must(lab.Link("link"))(t)
	a, b := newHost(t, lab, "a", link), newHost(t, lab, "b", link)
	if !reaches(t, a, b, link) { // and they know one another's link addresses from here on: to ask for one is lost like everything else, and is asked again a second later only
		t.Fatal("a whole link does not carry")
	}
	check(t, b.Lose(1))
	if !cut(t, a, b, link) {
		t.Error("something came through")
	}
	check(t, b.Lose(0.3))
	const sent = 200 // more would not fit into the receiver's buffer
	got := arriving(t, a, b, link, sent)
	t.Logf("%d of %d packets arrived", got, sent)
	if got < sent/2 || got > sent*9/10 { // 140 are expected, give or take 7
		t.Errorf("%d of %d packets arrived, want about 70 %%", got, sent)
	}
	check(t, echo(t, b, b, b.Addrs(link).V4.Addr())) // over the loopback
	check(t, b.Lose(0))
	if got := arriving(t, a, b, link, 100); got != 100 {
		t.Errorf("%d of 100 packets arrived when none should be lost", got)
	}
}

// arriving sends datagrams and counts those that arrive.
func arriving(t *testing.T, from, to *Host, link *Link, n int) (got int) {
	t.Helper()
	var conn net.PacketConn
	check(t, to.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", net.JoinHostPort(to.Addrs(link).V6.Addr().String(), "0"))
		return err
	}))
	defer conn.Close()
	out, err := from.DialContext(t.Context(), "udp", conn.LocalAddr().String())
	check(t, err)
	defer out.Close()
	buf := make([]byte, 1)
	for range n {
		_, err := out.Write(buf)
		check(t, err)
	}
	for {
		check(t, conn.SetReadDeadline(time.Now().Add(silence)))
		if _, _, err := conn.ReadFrom(buf); err != nil {
			return got
		}
		got++
	}
}
