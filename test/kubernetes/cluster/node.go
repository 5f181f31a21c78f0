//go:build linux

package cluster

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	pauseImage       = "localhost/folkmoot/pause:1"
	// pluginFolder is where Debian has the CNI plugins.
	pluginFolder = "/usr/lib/cni"
)

// disk is the folder that a node has as its own at that path.
func (h home) disk(node, path string) string { return h.path(node, "disk", filepath.FromSlash(path)) }

// volumes is a node's folder of volumes as the machine sees it.
func (h home) volumes(node string) string { return h.disk(node, volumeFolder) }

// node describes the computer that is a node.
func (h home) node(n network, p place, programs string, groups machine.Cgroups) *machine.Spec {
	spec := &machine.Spec{
		Hostname:  p.name,
		Namespace: n.of(p.name),
		Cgroups:   groups,
		Tmpfs:     []string{"/run"},
		Sysctls: []machine.Setting{
			{Name: "net/ipv4/ip_forward", Value: "1"},
			{Name: "net/bridge/bridge-nf-call-iptables", Value: "1"},
		},
		Shown: []machine.Setting{ // what a kubelet would set otherwise
			{Name: "vm/overcommit_memory", Value: "1"}, {Name: "vm/panic_on_oom", Value: "0"},
			{Name: "kernel/panic", Value: "10"}, {Name: "kernel/panic_on_oops", Value: "1"},
		},
		Folder: h.path(p.name),
	}
	for _, folder := range []string{"/etc", "/var/lib", "/var/log"} {
		changes := h.path(p.name, "changes", strings.ReplaceAll(folder, "/", "-"))
		spec.Overlays = append(spec.Overlays, machine.Overlay{Target: folder, Changes: changes})
	}
	for _, folder := range []string{"/var/lib/kubelet", "/var/lib/containerd"} {
		spec.Binds = append(spec.Binds, machine.Bind{From: h.disk(p.name, folder), To: folder})
	}
	config := func(name string) string { return h.path(p.name, name) }
	spec.Programs = []machine.Program{
		{Name: "containerd", Args: []string{"/usr/bin/containerd", "--config", config("containerd.toml")}, Until: "unix:" + containerdSocket},
		{Name: "import", Args: []string{"/usr/bin/ctr", "-n", "k8s.io", "images", "import", h.path("pause.tar")}, Once: true},
		{Name: "kubelet", After: fmt.Sprintf("tcp:%s:%d", planeAddr.Addr(), apiPort), Args: []string{
			programs + "/kubelet", "--config=" + config("kubelet.yaml"), "--kubeconfig=" + h.pki(p.name+".kubeconfig"),
			"--hostname-override=" + p.name, "--node-ip=" + p.addr.Addr().String()}},
		{Name: "kube-proxy", Args: []string{programs + "/kube-proxy", "--config=" + config("kube-proxy.yaml")}},
	}
	return spec
}

// configure writes what a node's programs read.
func (h home) configure(p place) error {
	etc := func(name string) string { return h.path(p.name, "changes", "-etc", name) }
	return writeFiles(map[string][]byte{
		etc("hostname"):                   []byte(p.name + "\n"),
		etc("hosts"):                      fmt.Appendf(nil, "127.0.0.1 localhost\n%s %s\n", p.addr.Addr(), p.name),
		etc("resolv.conf"):                fmt.Appendf(nil, "nameserver %s\n", dnsService),
		etc("cni/net.d/10-pods.conflist"): []byte(podNetwork(p)),
		h.path(p.name, "containerd.toml"): []byte(containerdConfig),
		h.path(p.name, "kubelet.yaml"):    []byte(kubeletConfig(h.pki("ca.crt"))),
		h.path(p.name, "kube-proxy.yaml"): []byte(proxyConfig(p, h.pki("kube-proxy.kubeconfig"))),
	})
}

// podNetwork is a bridge for the node's pods, which are routed to those of the other node without being disguised.
func podNetwork(p place) string {
	return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "pods", "plugins": [
	{"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
	 "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]]}},
	{"type": "portmap", "capabilities": {"portMappings": true}}]}
`, p.pods)
}

// containerdConfig has containerd change nothing beyond its node: no limits raised, no AppArmor profiles.
const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.native",
	"io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[plugins."io.containerd.grpc.v1.cri"]
	sandbox_image = "` + pauseImage + `"
	restrict_oom_score_adj = true
	disable_apparmor = true
	[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "` + pluginFolder + `"
		conf_dir = "/etc/cni/net.d"
	[plugins."io.containerd.grpc.v1.cri".containerd]
		snapshotter = "overlayfs"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
			runtime_type = "io.containerd.runc.v2"
			[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
				SystemdCgroup = false
`

// kubeletConfig lets images and logs use the disk, which is the machine's, up to its end.
func kubeletConfig(authority string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://%s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
clusterDomain: %s
clusterDNS: [%q]
resolvConf: /etc/resolv.conf
volumePluginDir: /var/lib/kubelet/volume-plugins
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: 20000
nodeStatusUpdateFrequency: 4s
syncFrequency: 10s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "100Mi", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%"}
`, containerdSocket, authority, clusterDomain, dnsService)
}

// proxyConfig leaves the kernel's connection tracking as it is.
func proxyConfig(p place, kubeconfig string) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: %s
hostnameOverride: %s
clientConnection: {kubeconfig: %q}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
`, podRange, p.name, kubeconfig)
}
