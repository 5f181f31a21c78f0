//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/folkmoot/folkmoot/test/netns"
)

// The addresses within a cluster. Clusters side by side have the same ones: no packet leaves its cluster.
var (
	planeAddr   = netip.MustParsePrefix("10.77.0.1/24") // the control plane's, and the nodes' way to everywhere
	podRange    = netip.MustParsePrefix("10.78.0.0/16")
	serviceNet  = netip.MustParsePrefix("10.79.0.0/24")
	apiService  = netip.MustParseAddr("10.79.0.1") // the first of serviceNet, as Kubernetes has it
	dnsService  = netip.MustParseAddr("10.79.0.10")
	apiPort     = 6443
	bridge      = "lan"
	machinePort = "eth0"
)

// A place is where a node is on the LAN.
type place struct {
	name string
	addr netip.Prefix
	pods netip.Prefix
}

var places = []place{
	{"node-a", netip.MustParsePrefix("10.77.0.11/24"), netip.MustParsePrefix("10.78.1.0/24")},
	{"node-b", netip.MustParsePrefix("10.77.0.12/24"), netip.MustParsePrefix("10.78.2.0/24")},
}

func placeOf(node string) (place, error) {
	for _, p := range places {
		if p.name == node {
			return p, nil
		}
	}
	return place{}, fmt.Errorf("there is no node %q: the nodes are %s", node, strings.Join(nodeNames(), " and "))
}

func nodeNames() []string {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = p.name
	}
	return names
}

// A network is the LAN of a cluster: a namespace with a bridge, which is also the control plane's, and one for each node.
type network struct{ cluster string }

// lan is the namespace of the bridge and the control plane.
func (n network) lan() string { return n.of(bridge) }

// of is the namespace of a node.
func (n network) of(name string) string { return "folkmoot-" + n.cluster + "-" + name }

func (n network) namespaces() []string {
	all := []string{n.lan()}
	for _, p := range places {
		all = append(all, n.of(p.name))
	}
	return all
}

// make makes the bridge.
func (n network) make() error {
	commands := [][]string{
		{"netns", "add", n.lan()},
		{"-n", n.lan(), "link", "set", "lo", "up"},
		{"-n", n.lan(), "link", "add", bridge, "type", "bridge", "mcast_snooping", "0"},
		{"-n", n.lan(), "address", "add", planeAddr.String(), "dev", bridge},
		{"-n", n.lan(), "link", "set", bridge, "up"},
	}
	return run(commands)
}

// attach makes the namespace of a node and plugs it in.
func (n network) attach(p place) error {
	node, plane := n.of(p.name), planeAddr.Addr().String()
	commands := [][]string{
		{"netns", "add", node},
		{"-n", node, "link", "set", "lo", "up"},
		{"-n", n.lan(), "link", "add", p.name, "type", "veth", "peer", "name", machinePort, "netns", node},
		{"-n", n.lan(), "link", "set", p.name, "master", bridge, "up"},
		{"-n", n.lan(), "route", "replace", p.pods.String(), "via", p.addr.Addr().String()},
		{"-n", node, "address", "add", p.addr.String(), "dev", machinePort},
		{"-n", node, "link", "set", machinePort, "up"},
		{"-n", node, "route", "add", "default", "via", plane},
	}
	for _, other := range places {
		if other != p {
			commands = append(commands, []string{"-n", node, "route", "add", other.pods.String(), "via", other.addr.Addr().String()})
		}
	}
	return errors.Join(run(commands), n.routeServices())
}

// detach unplugs a node and removes its namespace.
func (n network) detach(p place) error {
	if !exists(n.of(p.name)) {
		return nil
	}
	// A namespace takes its links along some time after it is deleted; this one is to be gone when a new one is made.
	return errors.Join(
		run([][]string{{"-n", n.lan(), "link", "delete", p.name}, {"netns", "delete", n.of(p.name)}}),
		n.routeServices())
}

// routeServices leads what the LAN sends to Services to a node that is plugged in.
func (n network) routeServices() error {
	for _, p := range places {
		if exists(n.of(p.name)) {
			return run([][]string{{"-n", n.lan(), "route", "replace", serviceNet.String(), "via", p.addr.Addr().String()}})
		}
	}
	return nil
}

// cut says whether packets may pass between the nodes; each of them and the control plane reach one another in any case. A node
// that is not plugged in has no port to set.
func (n network) cut(cut bool) error {
	isolated := "off"
	if cut {
		isolated = "on"
	}
	var errs []error
	for _, p := range places {
		if exists(n.of(p.name)) {
			// Bridges keep packets from passing between two isolated ports.
			errs = append(errs, run([][]string{{"-n", n.lan(), "link", "set", p.name, "type", "bridge_slave", "isolated", isolated}}))
		}
	}
	return errors.Join(errs...)
}

// remove ends what runs in the namespaces and removes them.
func (n network) remove() error {
	var errs []error
	for _, name := range n.namespaces() {
		if exists(name) {
			errs = append(errs, netns.EndAll(name), run([][]string{{"netns", "delete", name}}))
		}
	}
	return errors.Join(errs...)
}

// exists says whether there is a network namespace of that name.
func exists(namespace string) bool {
	_, err := os.Stat(filepath.Join("/run/netns", namespace))
	return err == nil
}

// run runs the ip program once per list of arguments.
func run(commands [][]string) error {
	for _, args := range commands {
		if _, err := netns.IP(args...); err != nil {
			return err
		}
	}
	return nil
}
