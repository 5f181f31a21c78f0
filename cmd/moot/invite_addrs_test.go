package main

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// An invite names addresses that somebody who is no member yet can dial: relays serve members alone.
func TestAddressesOfInvites(t *testing.T) {
	const id, relay = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", "12D3KooWAkPmbZCLJtYTjGcCBVAQ8RQYRFCkGpHGCWmKkPEyNVXN"
	self, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	got := outsideAddrs([]string{
		"/ip4/127.0.0.1/tcp/4242", "/ip4/192.0.2.1/tcp/4242/p2p/" + id + "/p2p-circuit", "/ip4/10.0.0.1/udp/4242/quic-v1/webtransport", "/ip4/10.0.0.1/tcp/4242", "/ip6/fe80::1/tcp/4242",
		"/ip4/192.0.2.1/udp/4242/quic-v1/p2p/" + relay + "/p2p-circuit",
	}, self)
	want := fmt.Sprintf("[/ip4/10.0.0.1/tcp/4242/p2p/%s /ip4/10.0.0.1/udp/4242/quic-v1/webtransport/p2p/%s]", id, id)
	if fmt.Sprint(got) != want {
		t.Errorf("addresses %v, want %s", got, want)
	}
}
