package nat

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

// Requests move from a relayed connection to a direct one; those under way are answered where they were made, and then the relayed one is closed.
func TestRequestsMoveToTheDirectConnection(t *testing.T) {
	relay, others := relaying(t, Quotas{}, 2)
	far, near := others[0], others[1]
	release := make(chan struct{})
	s, err := rpc.NewServer(rpc.ServerConfig{Host: far.Host, Protocol: "/test/1", Handler: func(ctx context.Context, _ peer.ID, request []byte) ([]byte, error) {
		if string(request) == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return request, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := rpc.NewClient(rpc.ClientConfig{Host: near.Host, Protocol: "/test/1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func(request string) {
		t.Helper()
		if got, err := c.Call(t.Context(), far.ID(), []byte(request)); err != nil || string(got) != request {
			t.Errorf("%s: answer %q, %v", request, got, err)
		}
	}
	if err := near.Connect(t.Context(), far.behind(t, relay)); err != nil {
		t.Fatal(err)
	}
	relayed := near.Network().ConnsToPeer(far.ID())[0]
	if !swarm.IsRelayed(relayed.RemoteMultiaddr()) {
		t.Fatal("the connection is direct")
	}
	call("before")
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		call("slow")
	}()
	eventually(t, "the slow request is on its way", func() bool { return streams(relayed, "/test/1") == 1 })
	if err := near.Connect(network.WithForceDirectDial(t.Context(), "test"), far.info()); err != nil {
		t.Fatal(err)
	}
	direct := directConn(near.Network(), far.ID())
	if direct == nil {
		t.Fatal("there is no direct connection")
	}
	call("after")
	if streams(direct, "/test/1") != 1 {
		t.Error("requests have not moved")
	}
	near.upgrade.retire(direct.Stat().Opened.Add(moveTime+time.Second), relayed, direct)
	if relayed.IsClosed() {
		t.Error("the relayed connection was closed with a request under way")
	}
	close(release)
	<-slow
	eventually(t, "the end of the relayed connection", func() bool {
		near.upgrade.retire(direct.Stat().Opened.Add(moveTime+time.Second), relayed, direct)
		return relayed.IsClosed()
	})
	call("at last")
}

// streams counts the open streams of a protocol.
func streams(c network.Conn, p string) (n int) {
	for _, s := range c.GetStreams() {
		if string(s.Protocol()) == p {
			n++
		}
	}
	return n
}
