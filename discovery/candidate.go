package discovery

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Bounds on what one report may carry.
const (
	// MaxAddrsPerPeer is how many addresses are kept of one peer, the newest first.
	MaxAddrsPerPeer = 16
	// MaxAddrSize is the length limit of an address in its binary form, in bytes.
	MaxAddrSize = 256
	// maxAddrsExamined is how many addresses of one report are looked at.
	maxAddrsExamined = 4 * MaxAddrsPerPeer
	// maxPeerIDSize is the length limit of a peer id in bytes; those in use have 34 to 42.
	maxPeerIDSize = 64
)

// A candidate is what remains of a report once everything unusable is dropped: a peer with at least one address, or a
// single address whose peer is unknown.
type candidate struct {
	id    peer.ID
	addrs []ma.Multiaddr
}

// candidates takes a report apart. Addresses that name another peer than the report does are dropped, as are all of self's.
func candidates(info peer.AddrInfo, self peer.ID) []candidate {
	if info.ID != "" && !validID(info.ID) {
		return nil
	}
	var found []candidate
	for _, addr := range info.Addrs[:min(len(info.Addrs), maxAddrsExamined)] {
		addr, id := peer.SplitAddr(addr)
		if id == "" {
			id = info.ID
		}
		known := id != ""
		switch {
		case info.ID != "" && id != info.ID, id == self, known && !validID(id):
		case !usable(addr), !known && relayed(addr):
		default:
			found = merge(found, id, addr)
		}
	}
	return found
}

// merge adds an address to the candidate of its peer; an address without a peer is a candidate of its own.
func merge(found []candidate, id peer.ID, addr ma.Multiaddr) []candidate {
	for i := range found {
		c := &found[i]
		if c.id != id {
			continue
		}
		if ma.Contains(c.addrs, addr) {
			return found
		}
		if id != "" {
			if len(c.addrs) < MaxAddrsPerPeer {
				c.addrs = append(c.addrs, addr)
			}
			return found
		}
	}
	if len(found) == MaxAddrsPerPeer {
		return found
	}
	return append(found, candidate{id: id, addrs: []ma.Multiaddr{addr}})
}

func validID(id peer.ID) bool {
	if len(id) > maxPeerIDSize {
		return false
	}
	_, err := peer.IDFromBytes([]byte(id))
	return err == nil
}

// usable returns whether addr might be dialled: it begins with an IP address or a name, the IP address is one of a
// single host, a transport follows, and no port is zero.
func usable(addr ma.Multiaddr) bool {
	if len(addr) < 2 || len(addr.Bytes()) > MaxAddrSize {
		return false
	}
	host := addr[0]
	if host.Code() == ma.P_IP6ZONE {
		host = addr[1]
	}
	switch host.Code() {
	case ma.P_IP4, ma.P_IP6:
		if ip, ok := netip.AddrFromSlice(host.RawValue()); !ok || ip.Unmap().IsUnspecified() || ip.Unmap().IsMulticast() {
			return false
		}
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
	default:
		return false
	}
	for _, c := range addr {
		if (c.Code() == ma.P_TCP || c.Code() == ma.P_UDP) && c.Value() == "0" {
			return false
		}
	}
	return true
}

// relayed returns whether addr leads through a relay, which can't be asked who is behind it.
func relayed(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}
