package mdns

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/test"
)

var absent = net.Interface{Index: 1 << 20, Name: "absent"}

// loopback returns the machine's loopback interface, or one that is absent if that is down.
func loopback(t *testing.T) net.Interface {
	t.Helper()
	interfaces, err := multicast{}.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	if i < 0 {
		return absent
	}
	return interfaces[i]
}

// TestMulticast has two parts of one process find one another over the loopback interface. Where the machine can't multicast
// on it, the link has to say so rather than wait.
func TestMulticast(t *testing.T) {
	on := []net.Interface{loopback(t)}
	service := "_" + test.RandPeerIDFatal(t).String()[:30] + "._udp"
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	want := texts(test.RandPeerIDFatal(t), addrs("/ip4/127.0.0.1/tcp/4242"))
	outcome := make(chan error, 2)
	wg.Go(func() {
		outcome <- multicast{}.Announce(ctx, announcement{Service: service, Texts: want, Addrs: addrs("/ip4/127.0.0.1/tcp/4242"), Interfaces: on})
	})
	heard := make(chan []string, MaxPeersPerBrowse)
	wg.Go(func() {
		outcome <- multicast{}.Browse(ctx, query{Service: service, Family: ipv4, Interfaces: on}, func(texts []string) { heard <- texts })
	})
	select {
	case got := <-heard:
		if !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	case err := <-outcome:
		if err == nil {
			t.Error("the link ended without an error before its context did")
		}
		t.Logf("no multicast on this machine: %v", err)
	}
}

func TestBrowseWithoutInterfaceFails(t *testing.T) {
	on := []net.Interface{absent}
	for _, f := range []family{ipv4, ipv6} {
		if err := (multicast{}).Browse(t.Context(), query{Service: "_x._udp", Family: f, Interfaces: on}, func([]string) {}); err == nil {
			t.Errorf("browsing by %v on an interface that is not there did not fail", f)
		}
	}
	a := announcement{Service: "_x._udp", Texts: []string{"x"}, Addrs: addrs("/ip4/127.0.0.1/tcp/1"), Interfaces: on}
	if err := (multicast{}).Announce(t.Context(), a); err == nil {
		t.Error("announcing on an interface that is not there did not fail")
	}
}
