//go:build kubernetes && linux

package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPeersAnnounceWhereTheyAreFromOutside(t *testing.T) {
	for _, tt := range []struct {
		values string
		peer   int
		want   string
	}{
		{"{type: NodePort}", 0, "announce:\n  - /ip4/${HOST_IP}/tcp/32400\n  - /ip4/${HOST_IP}/udp/32400/quic-v1\n"},
		{"{type: NodePort, nodePortBase: 31000}", 4, "announce:\n  - /ip4/${HOST_IP}/tcp/31004\n  - /ip4/${HOST_IP}/udp/31004/quic-v1\n"},
		{`{type: NodePort, protocols: [TCP], hosts: [192.0.2.1, "2001:db8::1", peer.example.org, a, b]}`, 1, "announce:\n  - /ip6/2001:db8::1/tcp/32401\n"},
		{`{type: LoadBalancer, hosts: [192.0.2.1, "2001:db8::1", peer.example.org, a, b]}`, 0, "announce:\n  - /ip4/192.0.2.1/tcp/4242\n  - /ip4/192.0.2.1/udp/4242/quic-v1\n"},
		{`{type: LoadBalancer, protocols: [UDP], hosts: [192.0.2.1, "2001:db8::1", peer.example.org, a, b]}`, 2, "announce:\n  - /dns/peer.example.org/udp/4242/quic-v1\n"},
	} {
		m := render(t, "outside: "+tt.values)
		config := at(m.get(t, "ConfigMap", fullName+"-outside"), "data", fmt.Sprintf("%d.yaml", tt.peer))
		if config != tt.want {
			t.Errorf("%s: config of peer %d\n%v, want\n%v", tt.values, tt.peer, config, tt.want)
		}
		mount := at(named(list(moot(m.peers(t)), "volumeMounts"), "outside"), "subPathExpr")
		if mount != "$(POD_INDEX).yaml" || named(list(moot(m.peers(t)), "env"), "POD_INDEX") == nil {
			t.Errorf("%s: what is mounted is %v", tt.values, mount)
		}
	}
	m := render(t, "{ipFamilies: [IPv6], outside: {type: NodePort, protocols: [TCP]}}")
	if config := at(m.get(t, "ConfigMap", fullName+"-outside"), "data", "0.yaml"); config != "announce:\n  - /ip6/${HOST_IP}/tcp/32400\n" {
		t.Errorf("with IPv6: %v", config)
	}
}

func TestPeersRelayOrAreRelayed(t *testing.T) {
	for values, want := range map[string][]string{
		"{}":                      nil,
		"p2p: {relay: auto}":      nil,
		"p2p: {relay: true}":      {"--relay=true"},
		"p2p: {relay: 'true'}":    {"--relay=true"},
		"p2p: {relay: false}":     {"--relay=false"},
		"p2p: {privateWAN: true}": {"--private-wan"},
		valueSets["behind a NAT"]: {"--relay=false", "--private-wan"},
		"{extra: {replicas: 1}, p2p: {relay: true}}": {"--relay=true"},
	} {
		var got []string
		for _, arg := range texts(moot(render(t, values).peers(t)), "args") {
			if strings.HasPrefix(arg, "--relay") || strings.HasPrefix(arg, "--private-wan") {
				got = append(got, arg)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", values, got, want)
		}
	}
}

func TestAServiceForEachPeer(t *testing.T) {
	m := render(t, "{replicas: 3, outside: {type: NodePort, peers: 4}}")
	for i := range 4 {
		s := m.get(t, "Service", fmt.Sprintf("%s-outside-%d", fullName, i))
		if got, want := at(s, "spec", "selector", "statefulset.kubernetes.io/pod-name"), fmt.Sprintf("%s-%d", fullName, i); got != want {
			t.Errorf("service %d leads to %v, want %v", i, got, want)
		}
		if tcp, udp := at(s, "spec", "ports", 0, "nodePort"), at(s, "spec", "ports", 1, "nodePort"); tcp != 32400+i || udp != 32400+i {
			t.Errorf("service %d has the ports %v and %v of the nodes", i, tcp, udp)
		}
	}
	if m.find("Service", fullName+"-outside-4") != nil {
		t.Error("a Service for a peer that there is not")
	}
}

func TestAGrowingNetworkRestartsNobody(t *testing.T) {
	digest := func(values string) string {
		return fmt.Sprint(at(render(t, values).peers(t), "spec", "template", "metadata", "annotations", "folkmoot/outside"))
	}
	small := digest("{replicas: 3, outside: {type: NodePort}}")
	if large := digest("{replicas: 7, outside: {type: NodePort}}"); small != large {
		t.Errorf("3 peers: %s, 7 peers: %s", small, large)
	}
	if moved := digest("{replicas: 3, outside: {type: NodePort, nodePortBase: 31000}}"); small == moved {
		t.Error("peers whose addresses have changed go on as before")
	}
}
