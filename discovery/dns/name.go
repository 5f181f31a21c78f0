package dns

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// SRVService is the service label under which peers are looked up: _moot._tcp.NAME (RFC 2782). A Kubernetes
	// headless Service answers it if its port is named "moot".
	SRVService = "_moot._tcp."
	// maxNameSize and maxLabelSize are the limits of RFC 1035, in bytes.
	maxNameSize  = 253
	maxLabelSize = 63
)

// A Name is a DNS name under which peers are found.
type Name struct {
	// Host is the name, without a port. A final dot keeps the search list of resolv.conf from being used.
	Host string
	// Port is the TCP port of the peers at the A and AAAA answers.
	Port uint16
	// PortGiven says that Port was part of the text, so that SRV answers are not asked for.
	PortGiven bool
}

// ParseName reads NAME or NAME:PORT. Without PORT it is swarm.DefaultPort, except for what SRV answers say. A NAME that begins with
// an underscore is an SRV name and takes no PORT. Errors are fault.Invalid.
func ParseName(s string) (Name, error) {
	host, port, given := strings.Cut(s, ":")
	n := Name{Host: host, Port: swarm.DefaultPort, PortGiven: given}
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return Name{}, fault.New(fault.Invalid, "DNS name %q is an IP address: give it as a bootstrap address, such as /ip4/10.0.0.1/tcp/4242", s)
	}
	if given {
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil || p == 0 {
			return Name{}, fault.New(fault.Invalid, "DNS name %q: the port after the colon must be 1 to 65535", s)
		}
		n.Port = uint16(p)
	}
	if given && n.isSRV() {
		return Name{}, fault.New(fault.Invalid, "DNS name %q is an SRV name, whose answers say the port: leave it out", s)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return Name{}, fault.New(fault.Invalid, "DNS name %q is an IP address: give it as a bootstrap address, such as /ip4/10.0.0.1/tcp/4242", s)
	}
	if !validHost(host) {
		return Name{}, fault.New(fault.Invalid, "DNS name %q: want labels of 1 to %d letters, digits, '-' or '_', with dots between, %d bytes in all", s, maxLabelSize, maxNameSize)
	}
	return n, nil
}

// String returns the text that ParseName reads.
func (n Name) String() string {
	if n.PortGiven {
		return n.Host + ":" + strconv.Itoa(int(n.Port))
	}
	return n.Host
}

// isSRV returns whether the name itself is one of SRV records.
func (n Name) isSRV() bool { return strings.HasPrefix(n.Host, "_") }

// srv returns the name whose SRV records are asked for, or "" for none.
func (n Name) srv() string {
	switch {
	case n.PortGiven:
		return ""
	case n.isSRV():
		return n.Host
	case len(SRVService)+len(n.Host) > maxNameSize:
		return ""
	}
	return SRVService + n.Host
}

func validHost(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if len(host) > maxNameSize {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(label string) bool {
	if label == "" || len(label) > maxLabelSize || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(label, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
