package dns

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
)

// Lookup asks once for the addresses of peers under what ParseName reads, as a Finder does; resolver may be nil: net.DefaultResolver. Where there are none, the error is fault.NotFound if the servers say so, fault.Unavailable if they can't be asked or fail, and fault.Invalid for
// what is no name.
func Lookup(ctx context.Context, resolver Resolver, name string) ([]ma.Multiaddr, error) {
	f, err := New(Config{Names: []string{name}, Resolver: resolver})
	if err != nil {
		return nil, err
	}
	addrs, err := f.lookup(ctx, f.names[0])
	var list []ma.Multiaddr
	for _, a := range addrs {
		list = append(list, multiaddr(a))
	}
	if len(list) > 0 {
		return list, nil
	}
	if failed, is := errors.AsType[*net.DNSError](err); err == nil || is && failed.IsNotFound {
		return nil, fault.New(fault.NotFound, "the name %s has no addresses", name)
	}
	return nil, fault.New(fault.Unavailable, "%w", err) // which has the name
}

// lookup asks for everything under a name once. A name that has no answer is normal while pods start, and so is a server that is
// not there yet: what can be had is returned, and the error of the addresses, or of an SRV name.
func (f *Finder) lookup(ctx context.Context, n Name) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, LookupTimeout)
	defer cancel()
	var (
		wg           sync.WaitGroup
		srv, address []netip.AddrPort
		srvErr, err  error
	)
	if name := n.srv(); name != "" {
		wg.Go(func() { srv, srvErr = f.lookupSRV(ctx, name) })
	}
	if !n.isSRV() {
		wg.Go(func() { address, err = f.lookupHost(ctx, n.Host, n.Port) })
	}
	wg.Wait()
	if n.isSRV() {
		err = srvErr
	}
	return merge(srv, address), err
}

func (f *Finder) lookupSRV(ctx context.Context, name string) ([]netip.AddrPort, error) {
	_, records, err := f.resolver.LookupSRV(ctx, "", "", name)
	if err != nil {
		f.log.Debug("no SRV answer", "name", name, "error", err)
	}
	var found []netip.AddrPort
	for _, srv := range records[:min(len(records), MaxTargets)] {
		if srv.Port != 0 && validHost(srv.Target) && len(found) < MaxAnswers {
			hosts, failed := f.lookupHost(ctx, srv.Target, srv.Port)
			found, err = append(found, hosts...), cmp.Or(err, failed)
		}
	}
	return found, err
}

func (f *Finder) lookupHost(ctx context.Context, host string, port uint16) ([]netip.AddrPort, error) {
	ips, err := f.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		f.log.Debug("no address answer", "name", host, "error", err)
	}
	var found []netip.AddrPort
	for _, ip := range ips {
		if ip = ip.Unmap(); usable(ip) && len(found) < MaxAnswers {
			found = append(found, netip.AddrPortFrom(ip, port))
		}
	}
	return found, err
}

// merge returns each address once, at most MaxAnswers of them, in the server's order. A host whose port an SRV answer
// told is not tried at the default port as well.
func merge(srv, address []netip.AddrPort) []netip.AddrPort {
	known := make(map[netip.AddrPort]bool)
	told := make(map[netip.Addr]bool)
	for _, a := range srv {
		told[a.Addr()] = true
	}
	address = slices.DeleteFunc(address, func(a netip.AddrPort) bool { return told[a.Addr()] })
	var merged []netip.AddrPort
	for _, a := range append(srv, address...) {
		if !known[a] && len(merged) < MaxAnswers {
			known[a] = true
			merged = append(merged, a)
		}
	}
	return merged
}

// usable returns whether a peer may be at ip. Addresses with a zone only mean something on the machine that wrote them.
func usable(ip netip.Addr) bool {
	return ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && ip.Zone() == "" && !ip.IsLinkLocalUnicast()
}

// multiaddr returns the TCP address of a peer.
func multiaddr(a netip.AddrPort) ma.Multiaddr {
	family := "ip6"
	if a.Addr().Is4() {
		family = "ip4"
	}
	host, errHost := ma.NewComponent(family, a.Addr().String())
	port, errPort := ma.NewComponent("tcp", strconv.Itoa(int(a.Port())))
	if errHost != nil || errPort != nil {
		return nil // not reached: usable addresses without zone are always representable
	}
	return ma.Multiaddr{*host, *port}
}

var _ Resolver = (*net.Resolver)(nil)
