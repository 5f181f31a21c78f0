//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os/exec"
)

// NAT is how a router translates addresses, in the terms of RFC 4787. Both kinds let packets in only from where one was sent to before (address and port-dependent filtering).
type NAT int

const (
	// EndpointIndependent keeps the port of a host, whatever the other end: a host on the other side sees what all others see, as long as no two hosts want one port.
	EndpointIndependent NAT = iota
	// EndpointDependent takes a random port for each other end. Such a NAT is also called symmetric.
	EndpointDependent
)

// Translate makes the host a router that hides what is behind it: packets for IPv4 addresses on the link outside leave with the router's own address there, and what comes from outside without having been asked for is
// dropped. IPv6 is not forwarded. It needs the nft program.
func (h *Host) Translate(outside *Link, kind NAT) error {
	name, ok := h.interfaces[outside]
	if !ok {
		return fmt.Errorf("%s is not attached to link %d", h.Name, outside.number)
	}
	if err := h.sysctl("net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	random := ""
	if kind == EndpointDependent {
		random = "fully-random"
	}
	// What is not let in must not be answered either: a refusal would end the attempt of the other side, and the router would take the connection for one of its own.
	rules := fmt.Sprintf(`table ip lab {
	chain translate { type nat hook postrouting priority srcnat; oifname %[1]q masquerade %[2]s; }
	chain in { type filter hook input priority filter; iifname %[1]q ct state established,related accept; iifname %[1]q drop; }
	chain through { type filter hook forward priority filter; iifname %[1]q ct state established,related accept; iifname %[1]q drop; }
}`, name, random)
	_, err := output("ip", "netns", "exec", h.Name, "nft", rules)
	return err
}

// NATSupported returns nil when hosts of labs can translate addresses, and otherwise what the machine lacks.
func NATSupported() error {
	if _, err := exec.LookPath("nft"); err != nil {
		return errors.New("NAT needs the nft program (Debian package nftables)")
	}
	lab, err := New()
	if err != nil {
		return err
	}
	defer lab.Close()
	link, err := lab.PublicLink("l")
	if err != nil {
		return err
	}
	router, err := lab.Host("a")
	if err != nil {
		return err
	}
	if _, err := router.Attach(link); err != nil {
		return err
	}
	return router.Translate(link, EndpointDependent)
}
