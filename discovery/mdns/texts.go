package mdns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// attribute begins each TXT string that holds an address.
	attribute = "dnsaddr="
	// maxTexts is how many TXT strings of one answer are read.
	maxTexts = 32
	// maxTextSize is the length limit of a TXT string (RFC 1035, section 3.3), in bytes.
	maxTextSize = 255
	// maxAnnounced is how many addresses are announced, so that an announcement fits one packet (RFC 6762, section 17).
	maxAnnounced = 8
)

// texts returns the TXT strings that announce a peer.
func texts(id peer.ID, addrs []ma.Multiaddr) []string {
	suffix := "/p2p/" + id.String()
	out := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		out = append(out, attribute+addr.String()+suffix)
	}
	return out
}

// parse returns the peers that TXT strings announce. Strings that announce none, or an address that is not for a link, are passed over.
func parse(texts []string) []peer.AddrInfo {
	var peers []peer.AddrInfo
	for _, text := range texts[:min(len(texts), maxTexts)] {
		s, ok := strings.CutPrefix(text, attribute)
		if !ok || len(text) > maxTextSize {
			continue
		}
		full, err := ma.NewMultiaddr(s)
		if err != nil {
			continue
		}
		addr, id := peer.SplitAddr(full)
		if id == "" || !suitable(addr) {
			continue
		}
		i := slices.IndexFunc(peers, func(p peer.AddrInfo) bool { return p.ID == id })
		if i < 0 {
			i = len(peers)
			peers = append(peers, peer.AddrInfo{ID: id})
		}
		if !ma.Contains(peers[i].Addrs, addr) {
			peers[i].Addrs = append(peers[i].Addrs, addr)
		}
	}
	return peers
}

// announceable returns those of a host's addresses that are worth announcing on a link, at most maxAnnounced. Loopback
// addresses are only for hosts that have no others.
func announceable(addrs []ma.Multiaddr) []ma.Multiaddr {
	var loopback, other []ma.Multiaddr
	for _, addr := range addrs {
		switch {
		case !suitable(addr) || len(addr.String()) > maxTextSize/2:
		case ip(addr).IsLoopback():
			loopback = append(loopback, addr)
		default:
			other = append(other, addr)
		}
	}
	if len(other) > 0 {
		return other[:min(len(other), maxAnnounced)]
	}
	return loopback[:min(len(loopback), maxAnnounced)]
}

// suitable returns whether addr is one to reach a peer on the same link by: an IP address that means the same on both
// sides, and neither a relay nor a transport for browsers, which don't speak mDNS.
func suitable(addr ma.Multiaddr) bool {
	host := ip(addr)
	if !host.IsValid() || host.IsUnspecified() || host.IsMulticast() || host.IsLinkLocalUnicast() || len(addr) < 2 {
		return false
	}
	return !slices.ContainsFunc(addr, func(c ma.Component) bool {
		switch c.Code() {
		case ma.P_CIRCUIT, ma.P_WEBTRANSPORT, ma.P_WEBRTC, ma.P_WEBRTC_DIRECT, ma.P_WS, ma.P_WSS:
			return true
		}
		return false
	})
}

// ip returns the IP address that addr begins with, or an invalid one.
func ip(addr ma.Multiaddr) netip.Addr {
	if len(addr) == 0 || addr[0].Code() != ma.P_IP4 && addr[0].Code() != ma.P_IP6 {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(addr[0].RawValue())
	return ip.Unmap()
}
