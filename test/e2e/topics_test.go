//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/moottest"
)

// TestTopics publishes at one host what is printed at two others and not in another network, and finds a peer by each way of routing.
func TestTopics(t *testing.T) {
	lab := newLab(t)
	link := newLink(t, lab, "link")
	hostA, hostB, hostC := newHost(t, lab, "a", link), newHost(t, lab, "b", link), newHost(t, lab, "c", link)
	a := newPeer(t, hostA, "a", "--mdns=false").start()
	b := newPeer(t, hostB, "b", "--mdns=false", "--bootstrap", tcp(hostA, link), "--routing", "recursive").start()
	c := newPeer(t, hostC, "c", "--mdns=false", "--bootstrap", tcp(hostA, link), "--routing", "broadcast").start()
	foreigner := newPeer(t, hostC, "foreigner", "--mdns=false", "--listen", "/ip4/0.0.0.0/tcp/4343", "--api-listen", "127.0.0.1:7171", "--bootstrap", tcp(hostA, link)).inNetwork("other").start()
	meet(t, a, b, c)

	listening, stop := context.WithTimeout(t.Context(), commandPatience)
	defer stop()
	type printed struct {
		who    *peer
		result moottest.Result
		err    error
	}
	results := make(chan printed, 2)
	for _, p := range []*peer{b, c} {
		go func() {
			result, err := p.Run(listening, "", "subscribe", "news/today", "--count", "1", "--json")
			results <- printed{p, result, err}
		}()
	}
	foreign := make(chan error, 1)
	go func() {
		_, err := foreigner.Run(listening, "", "subscribe", "news/today", "--count", "1")
		foreign <- err
	}()
	eventually(t, settlePatience, func() error {
		if decode[v1.Published](t, a.do("publish", "other", "nobody", "--json")).Followers != 0 {
			t.Error("somebody follows what nobody does")
		}
		published := decode[v1.Published](t, a.feed("hello\n", "publish", "news/today", "--file", "-", "--json"))
		if len(results) < 2 {
			return fmt.Errorf("%d of 2 printed a message; a knows of %d followers", len(results), published.Followers)
		}
		return nil
	})
	for range 2 {
		got := <-results
		check(t, got.err)
		m := decode[v1.Message](t, got.who.succeed(got.result, "subscribe"))
		if m.Topic != "news/today" || m.Author != a.id || string(m.Bytes()) != "hello\n" {
			t.Errorf("%s printed %+v, want what a published", got.who.name, m)
		}
	}
	stop()
	if err := <-foreign; err == nil {
		t.Error("a peer of another network heard something, or could not listen")
	}

	for _, via := range []string{"iterative", "recursive", "broadcast"} {
		for _, p := range []*peer{a, b, c} {
			for _, q := range []*peer{a, b, c} {
				if out := p.do("find", q.id, "--via", via); p != q && !strings.Contains(out, "/tcp/4242") {
					t.Errorf("%s: find %s by the %s way:\n%s", p.name, q.name, via, out)
				}
			}
			if r := p.command("", "find", stranger, "--via", via); r.Code == 0 {
				t.Errorf("%s found a peer that is nowhere by the %s way", p.name, via)
			}
		}
	}
	b.do("put", "greeting", "hello")
	if got := c.do("get", "greeting"); got != "hello" {
		t.Errorf("c reads %q", got)
	}
}
