package nat

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func TestConclude(t *testing.T) {
	candidates := []AddrVerdict{{Addr: addrsOf("/ip4/10.0.0.1/tcp/1")[0], Own: true}, {Addr: addrsOf("/ip4/20.0.0.1/tcp/1")[0]}}
	for _, c := range []struct {
		name    string
		answers [][]checkResult
		state   State
		addrs   [2]State
	}{
		{"nobody asked", nil, Unknown, [2]State{Unknown, Unknown}},
		{"nobody tried", [][]checkResult{{notTried, notTried}}, Unknown, [2]State{Unknown, Unknown}},
		{"all reach one", [][]checkResult{{reached, notTried}, {notReached, reached}}, Reachable, [2]State{Reachable, Reachable}},
		{"one site does, another does not", [][]checkResult{{reached, notTried}, {notReached, notReached}}, Unreachable, [2]State{Reachable, Unreachable}},
		{"nobody does", [][]checkResult{{notReached, notReached}, {notTried, notTried}}, Unreachable, [2]State{Unreachable, Unreachable}},
		{"the port is forwarded", [][]checkResult{{notReached, reached}}, Reachable, [2]State{Unreachable, Reachable}},
	} {
		var answers []answer
		for _, r := range c.answers {
			answers = append(answers, answer{results: r})
		}
		v := conclude(candidates, answers)
		if v.State != c.state || v.Addrs[0].State != c.addrs[0] || v.Addrs[1].State != c.addrs[1] {
			t.Errorf("%s: %+v, want %s, %v", c.name, v, c.state, c.addrs)
		}
	}
}

func TestRelayedAddresses(t *testing.T) {
	const id = "12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA"
	relay, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := through(peer.AddrInfo{ID: relay, Addrs: addrsOf("/ip4/127.0.0.1/tcp/1", "/ip4/20.0.0.1/tcp/1", "/ip4/20.0.0.2/tcp/1", "/ip4/20.0.0.1/udp/1/quic-v1",
		"/ip4/20.0.0.3/tcp/1/p2p/"+id+"/p2p-circuit", "/ip4/20.0.0.3/tcp/1", "/ip4/20.0.0.4/tcp/1")})
	want := addrsOf("/ip4/20.0.0.1/udp/1/quic-v1/p2p/"+id+"/p2p-circuit", "/ip4/20.0.0.1/tcp/1/p2p/"+id+"/p2p-circuit", "/ip4/20.0.0.2/tcp/1/p2p/"+id+"/p2p-circuit")
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v; want %v", got, err, want)
	}
	for i := range want {
		if !got[i].Equal(want[i]) {
			t.Errorf("%s, want %s", got[i], want[i])
		}
	}
	if _, err := through(peer.AddrInfo{ID: relay, Addrs: addrsOf("/ip4/127.0.0.1/tcp/1")}); err == nil {
		t.Error("a relay without an address to tell was taken")
	}
}

// closing is a connection that is closed between two looks at it.
type closing struct {
	network.Conn
	looks int
}

func (c *closing) IsClosed() bool                { c.looks++; return c.looks > 1 }
func (c *closing) RemotePeer() peer.ID           { return "observer" }
func (c *closing) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast("/ip4/20.0.0.2/tcp/1") }
func (c *closing) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast("/ip4/10.0.0.1/tcp/4242") }
func (c *closing) Stat() network.ConnStats       { return network.ConnStats{} }

// listening is a network that listens on one port.
type listening struct{ network.Network }

func (listening) ListenAddresses() []ma.Multiaddr { return addrsOf("/ip4/10.0.0.1/tcp/4242") }

// What is said over a connection that closes at that moment is not kept: nobody would forget it.
func TestNothingIsKeptOfClosedConnections(t *testing.T) {
	seen := ma.StringCast("/ip4/30.0.0.1/tcp/4242")
	for _, own := range [][]ma.Multiaddr{nil, addrsOf("/ip4/10.0.0.1/tcp/4242")} {
		for looks := range 2 { // closed at either of two looks
			o := newObserved(listening{})
			if o.note(&closing{looks: -looks}, seen, own) && len(o.seen) == 0 || len(o.seen)+len(o.outside) > 1 {
				t.Errorf("%d sightings are kept, and %d outsiders", len(o.seen), len(o.outside))
			}
		}
		o, open := newObserved(listening{}), &closing{looks: -9}
		if !o.note(open, seen, own) {
			t.Error("what is said over an open connection is not kept")
		}
		if o.forget(open); len(o.seen)+len(o.outside) > 0 {
			t.Error("what was said over a connection that is closed now is kept")
		}
	}
}

// dialled is a connection from a port that is not listened on.
type dialled struct {
	network.Conn
	to peer.ID
}

func (d dialled) IsClosed() bool                { return false }
func (d dialled) RemotePeer() peer.ID           { return d.to }
func (d dialled) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast("/ip4/20.0.0.2/tcp/1") }
func (d dialled) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast("/ip4/10.0.0.1/tcp/39999") }

// A node that those on its own side reach dials from any port. The first who sees it at the address of a NAT is news all the same, and is asked before the others.
func TestOutsidersAreKnownWhateverThePort(t *testing.T) {
	o, own := newObserved(listening{}), addrsOf("/ip4/10.0.0.1/tcp/4242", "/ip6/fd00::1/tcp/4242")
	for _, c := range []struct {
		by   peer.ID
		at   string
		news bool
	}{
		{"neighbour", "/ip4/10.0.0.1/tcp/39999", false},
		{"relay", "/ip4/30.0.0.1/tcp/1025", true},
		{"other", "/ip4/30.0.0.1/tcp/1026", false},
		{"further", "/ip4/30.0.0.2/tcp/1027", true},
	} {
		if news := o.note(dialled{to: c.by}, ma.StringCast(c.at), own); news != c.news {
			t.Errorf("%s sees it at %s: news %t", c.by, c.at, news)
		}
	}
	outside := o.outsiders(own)
	if len(outside) != 3 || outside["neighbour"] || len(o.addrs()) > 0 {
		t.Errorf("outside are %v, and the node is told to be at %v", outside, o.addrs())
	}
	if o.forget(dialled{to: "relay"}); o.outsiders(own)["relay"] {
		t.Error("who is not connected any more is outside still")
	}
}
