package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	selfID  = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	relayID = "12D3KooWAkPmbZCLJtYTjGcCBVAQ8RQYRFCkGpHGCWmKkPEyNVXN"
	otherID = "12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust"
)

// An invite names addresses that somebody who is no member yet can dial: relays serve members alone.
func TestAddressesOfInvites(t *testing.T) {
	self, err := peer.Decode(selfID)
	if err != nil {
		t.Fatal(err)
	}
	got := outsideAddrs([]string{
		"/ip4/127.0.0.1/tcp/4242", "/ip4/192.0.2.1/tcp/4242/p2p/" + selfID + "/p2p-circuit", "/ip4/10.0.0.1/udp/4242/quic-v1/webtransport", "/ip4/10.0.0.1/tcp/4242", "/ip6/fe80::1/tcp/4242",
		"/ip4/192.0.2.1/udp/4242/quic-v1/p2p/" + relayID + "/p2p-circuit", "/ip4/1.2.3.4/tcp/4242",
	}, self)
	want := fmt.Sprintf("[/ip4/1.2.3.4/tcp/4242/p2p/%[1]s /ip4/10.0.0.1/tcp/4242/p2p/%[1]s /ip4/10.0.0.1/udp/4242/quic-v1/webtransport/p2p/%[1]s]", selfID)
	if fmt.Sprint(got) != want {
		t.Errorf("addresses %v, want %s", got, want)
	}
}

// Whoever is invited gets in at any member that can be dialled. The invite is refused only where there is none.
func TestDoorsOfInvites(t *testing.T) {
	node := func(state string, addrs ...string) *v1.Node {
		return &v1.Node{ID: selfID, Addresses: addrs, Reachability: &v1.Reachability{State: state}}
	}
	relay := v1.Peer{ID: relayID, State: "alive", Relay: true, Addresses: []string{"/ip4/10.9.0.1/tcp/4242", "/ip4/5.6.7.8/tcp/4242", "/ip4/5.6.7.8/udp/4242/quic-v1"}}
	hidden := v1.Peer{ID: otherID, State: "alive", Addresses: []string{"/ip4/192.168.1.7/tcp/4242", "/ip4/5.6.7.8/tcp/4242/p2p/" + relayID + "/p2p-circuit"}}
	public := v1.Peer{ID: otherID, State: "alive", Addresses: []string{"/ip4/9.9.9.9/tcp/4242"}}
	away := public
	away.State = "away"
	const private, throughRelay = "/ip4/192.168.1.5/tcp/4242", "/ip4/5.6.7.8/tcp/4242/p2p/" + relayID + "/p2p-circuit"
	forwarded := ma.StringCast("/ip4/4.4.4.4/tcp/4242")
	for name, c := range map[string]struct {
		self  *v1.Node
		given []ma.Multiaddr
		peers []v1.Peer
		want  []string // beginnings of the addresses
	}{
		"behind a NAT, with a relay":              {node("unreachable", private, throughRelay), nil, []v1.Peer{hidden, relay}, []string{"/ip4/5.6.7.8/tcp/4242/p2p/" + relayID, "/ip4/5.6.7.8/udp", "/ip4/10.9.0.1", private}},
		"behind a NAT, with a member at large":    {node("unreachable", private), nil, []v1.Peer{hidden, public}, []string{"/ip4/9.9.9.9", private}},
		"behind a NAT, with a port forwarded":     {node("unreachable", private), []ma.Multiaddr{forwarded}, nil, []string{"/ip4/4.4.4.4", private}},
		"behind a NAT, with others behind theirs": {node("unreachable", private), nil, []v1.Peer{hidden, away}, nil},
		"alone":       {node("unknown", private), nil, nil, []string{private}},
		"public":      {node("reachable", "/ip4/1.2.3.4/tcp/4242"), nil, []v1.Peer{relay}, []string{"/ip4/1.2.3.4", "/ip4/5.6.7.8/tcp", "/ip4/5.6.7.8/udp", "/ip4/10.9.0.1"}},
		"on loopback": {node("unknown", "/ip4/127.0.0.1/tcp/4242"), nil, nil, nil},
	} {
		got, err := doors(c.self, c.given, c.peers)
		if c.want == nil {
			if fault.KindOf(err) != fault.Conflict || !strings.Contains(adviceOf(err), "--announce") {
				t.Errorf("%s: %v, %v, %q", name, got, err, adviceOf(err))
			}
			continue
		}
		if err != nil || len(got) != len(c.want) || !slices.EqualFunc(got, c.want, func(a ma.Multiaddr, begin string) bool { return strings.HasPrefix(a.String(), begin) }) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// adviceOf returns what an error says to do next.
func adviceOf(err error) string {
	e, _ := errors.AsType[advised](err)
	return e.next
}
