package swarm

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/folkmoot/folkmoot/fault"
)

// NetworkID names a network. It is part of every protocol id, every signed payload and the mDNS service name, so that
// two networks never mix, though their peers share a link.
type NetworkID [sha256.Size]byte

// MaxNetworkName is the length limit of an open network's name, in bytes.
const MaxNetworkName = 63

// openNetworkDomain keeps the id of an open network apart from every other use of SHA-256.
const openNetworkDomain = "folkmoot open network\x00"

var networkName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

var networkIDText = base32.StdEncoding.WithPadding(base32.NoPadding)

// OpenNetwork returns the id of the open network called name: the SHA-256 of a fixed prefix and the name. Everybody who knows the name may
// enter. The name is 1 to MaxNetworkName letters, digits, dots, dashes and underscores, and starts and ends with a
// letter or digit.
func OpenNetwork(name string) (NetworkID, error) {
	if len(name) > MaxNetworkName || !networkName.MatchString(name) {
		return NetworkID{}, fault.New(fault.Invalid,
			"network name %q: want 1 to %d letters, digits, '.', '-' or '_', beginning and ending with a letter or digit", name, MaxNetworkName)
	}
	return sha256.Sum256([]byte(openNetworkDomain + name)), nil
}

// ParseNetworkID reads what String wrote; capital letters are allowed. Each id has one spelling.
func ParseNetworkID(s string) (NetworkID, error) {
	var id NetworkID
	b, err := networkIDText.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != len(id) {
		return id, fault.New(fault.Invalid, "network id %q: want 52 base32 characters", s)
	}
	copy(id[:], b)
	if id.String() != strings.ToLower(s) { // the last character has bits to spare
		return NetworkID{}, fault.New(fault.Invalid, "network id %q: its last character is wrong", s)
	}
	return id, nil
}

// String returns the id as 52 lower-case base32 characters, which fit a DNS label.
func (id NetworkID) String() string {
	return strings.ToLower(networkIDText.EncodeToString(id[:]))
}

// Protocol returns the id of this network's protocol called name, such as "records/1".
func (id NetworkID) Protocol(name string) protocol.ID {
	return protocol.ID("/folkmoot/" + id.String() + "/" + name)
}

// SigningDomain returns the domain of this network's signed envelopes that carry the given kind of payload.
func (id NetworkID) SigningDomain(kind string) string {
	return "folkmoot/" + id.String() + "/" + kind
}

// MDNSService returns the network's DNS-SD service name (RFC 6763).
func (id NetworkID) MDNSService() string {
	return "_" + id.String() + "._udp"
}
