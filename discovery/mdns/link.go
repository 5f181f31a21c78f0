package mdns

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// RecordTTL is how long an announcement is believed (RFC 6762, section 10, wants seconds to minutes for what may
	// move). A browsing peer hears each again after that, at its next query, which are at most a minute apart.
	RecordTTL = time.Minute
	// maxInterfaces is how many interfaces are used. Linux lets one socket join 20 groups.
	maxInterfaces = 16
	domain        = "local"
	// port fills the SRV record, which libp2p's form of mDNS does not use.
	port = 4001
)

type family uint8

const (
	ipv4 family = family(zeroconf.IPv4)
	ipv6 family = family(zeroconf.IPv6)
)

func (f family) String() string {
	if f == ipv4 {
		return "IPv4"
	}
	return "IPv6"
}

// announcement is what a host says of itself.
type announcement struct {
	Service    string
	Texts      []string
	Addrs      []ma.Multiaddr // those in Texts
	Interfaces []net.Interface
}

// query asks who else is there. The two families are asked apart since a machine may have only one.
type query struct {
	Service    string
	Family     family
	Interfaces []net.Interface
}

// link is what the finder needs of multicast DNS.
type link interface {
	// Interfaces returns those that are up and can be used.
	Interfaces() ([]net.Interface, error)
	// Announce announces a and answers queries for it until ctx ends or the link fails.
	Announce(ctx context.Context, a announcement) error
	// Browse calls heard with the TXT strings of each host that answers, until ctx ends, the link fails, or it heard
	// MaxPeersPerBrowse. A host is heard again after its records' time to live. heard is not called after Browse returned.
	Browse(ctx context.Context, q query, heard func(texts []string)) error
}

// multicast is the link by the machine's interfaces. It uses zeroconf, which libp2p's own mdns package wraps: that one never
// stops if a family of addresses is missing, keeps what it heard without bound, and leaves out the loopback interface.
type multicast struct{}

// Interfaces returns the interfaces that are up, have an address that isn't link-local, and can multicast; loopback
// can, though Linux does not say so. Without the rule on addresses, a machine that runs pods would have one interface for each.
func (multicast) Interfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var usable []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&(net.FlagMulticast|net.FlagLoopback) != 0 && len(usable) < maxInterfaces && addressed(i) {
			usable = append(usable, i)
		}
	}
	return usable, nil
}

func addressed(i net.Interface) bool {
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// Announce runs a responder. Its instance name is a new one each time, so that nobody takes it for what was announced
// before.
func (multicast) Announce(ctx context.Context, a announcement) error {
	var ips []string
	for _, addr := range a.Addrs {
		ips = append(ips, ip(addr).String())
	}
	instance := strings.ToLower(rand.Text())
	server, err := zeroconf.RegisterProxy(instance, a.Service, domain, port, instance, firsts(ips), a.Texts, a.Interfaces,
		zeroconf.TTL(uint32(RecordTTL/time.Second)))
	if err != nil {
		return fmt.Errorf("announce by mDNS: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// firsts returns the first address of each family, which is all that the A and AAAA records have to hold: peers read the TXT.
func firsts(ips []string) []string {
	var four, six []string
	for _, ip := range ips {
		if strings.Contains(ip, ":") {
			six = append(six, ip)
		} else {
			four = append(four, ip)
		}
	}
	return append(four[:min(len(four), 1)], six[:min(len(six), 1)]...)
}

// Browse runs a browser.
func (multicast) Browse(ctx context.Context, q query, heard func(texts []string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry)
	ended := make(chan error, 1)
	go func() {
		ended <- zeroconf.Browse(ctx, q.Service, domain, entries,
			zeroconf.SelectIfaces(q.Interfaces), zeroconf.SelectIPTraffic(zeroconf.IPType(q.Family)))
	}()
	// zeroconf closes entries when it stops, though not when it can't start, and never before everything sent was
	// received: receive until Browse has ended.
	for count := 0; ; {
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("browse by mDNS: %w", err)
			}
			return nil
		case e, open := <-entries:
			if !open {
				entries = nil
				continue
			}
			if count++; count <= MaxPeersPerBrowse {
				heard(e.Text)
			}
			if count == MaxPeersPerBrowse {
				cancel()
			}
		}
	}
}
