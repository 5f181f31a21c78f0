//go:build linux

package cluster

import (
	"fmt"
	"net"
	"time"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
)

const (
	clusterDomain = "cluster.local"
	provisioner   = "folkmoot.test/local"
	// volumeFolder is where a node has its volumes.
	volumeFolder = "/var/lib/kubelet/local-volumes"

	// A node that is silent for this long is not ready; Kubernetes' own value is 50 s.
	nodeGrace = 16 * time.Second
	// Pods leave such a node after this long; Kubernetes' own value is 5 min.
	podGrace = 10 * time.Second
)

// credentials makes the keys and certificates of the cluster.
func (h home) credentials(now time.Time) (*authority, error) {
	a, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{h.pki("ca.crt"): a.pem()}
	if files[h.pki("sa.key")], files[h.pki("sa.pub")], err = serviceAccountKey(); err != nil {
		return nil, err
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + clusterDomain}
	addrs := []net.IP{net.IPv4(127, 0, 0, 1), planeAddr.Addr().AsSlice(), apiService.AsSlice()}
	pairs := map[string]pair{}
	if pairs["apiserver"], err = a.server(now, "kube-apiserver", names, addrs); err != nil {
		return nil, err
	}
	if pairs["apiserver-kubelet"], err = a.client(now, "kube-apiserver-kubelet-client", "system:masters"); err != nil {
		return nil, err
	}
	for name, p := range pairs {
		files[h.pki(name+".crt")], files[h.pki(name+".key")] = p.certificate, p.key
	}
	users := map[string][]string{
		"controller-manager": {"system:kube-controller-manager"},
		"scheduler":          {"system:kube-scheduler"},
		"kube-proxy":         {"system:kube-proxy"},
		"provisioner":        {"folkmoot:provisioner", "system:masters"},
	}
	for _, p := range places {
		users[p.name] = []string{"system:node:" + p.name, "system:nodes"}
	}
	server := fmt.Sprintf("%s:%d", planeAddr.Addr(), apiPort)
	for name, user := range users {
		p, err := a.client(now, user[0], user[1:]...)
		if err != nil {
			return nil, err
		}
		files[h.pki(name+".kubeconfig")] = a.kubeconfig("cluster", server, p)
	}
	return a, writeFiles(files)
}

// plane describes the computer that is the control plane. It is the machine's own but for the network.
func (h home) plane(n network, programs string) *machine.Spec {
	api := fmt.Sprintf("tcp:127.0.0.1:%d", apiPort)
	program := func(name string, args ...string) machine.Program {
		return machine.Program{Name: name, Args: append([]string{programs + "/" + name}, args...)}
	}
	etcd := program("etcd",
		"--data-dir="+h.path("plane", "etcd"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380",
		"--unsafe-no-fsync", "--log-level=warn") // it does not outlive the cluster
	etcd.Until = "tcp:127.0.0.1:2379"
	server := program("kube-apiserver", h.serverFlags()...)
	server.Until = api
	return &machine.Spec{
		Hostname:  "control-plane",
		Namespace: n.lan(),
		Programs: []machine.Program{
			etcd, server,
			program("kube-controller-manager",
				"--kubeconfig="+h.pki("controller-manager.kubeconfig"), "--bind-address=127.0.0.1",
				"--service-account-private-key-file="+h.pki("sa.key"), "--root-ca-file="+h.pki("ca.crt"),
				"--use-service-account-credentials=true", "--leader-elect=false",
				"--kube-api-qps=300", "--kube-api-burst=600", // with the default it takes 13 s to the first service account
				"--service-cluster-ip-range="+serviceNet.String(),
				"--flex-volume-plugin-dir="+h.path("plane", "plugins"), // otherwise a folder of the machine
				"--node-monitor-period=2s", "--node-monitor-grace-period="+nodeGrace.String()),
			program("kube-scheduler",
				"--kubeconfig="+h.pki("scheduler.kubeconfig"), "--bind-address=127.0.0.1",
				"--leader-elect=false", "--kube-api-qps=300", "--kube-api-burst=600"),
			program("provisioner", h.provisionerFlags()...),
		},
		Forward: fmt.Sprintf("127.0.0.1:%d", apiPort),
		Folder:  h.path("plane"),
	}
}

func (h home) serverFlags() []string {
	grace := fmt.Sprint(int(podGrace.Seconds()))
	return []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", apiPort), "--advertise-address=" + planeAddr.Addr().String(),
		"--service-cluster-ip-range=" + serviceNet.String(),
		"--tls-cert-file=" + h.pki("apiserver.crt"), "--tls-private-key-file=" + h.pki("apiserver.key"),
		"--client-ca-file=" + h.pki("ca.crt"),
		"--kubelet-client-certificate=" + h.pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + h.pki("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
		"--service-account-key-file=" + h.pki("sa.pub"), "--service-account-signing-key-file=" + h.pki("sa.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--default-not-ready-toleration-seconds=" + grace, "--default-unreachable-toleration-seconds=" + grace,
		"--profiling=false",
	}
}

func (h home) provisionerFlags() []string {
	flags := []string{"--name=" + provisioner, "--kubeconfig=" + h.pki("provisioner.kubeconfig"), "--path=" + volumeFolder}
	for _, p := range places {
		flags = append(flags, "--folder="+p.name+"="+h.volumes(p.name))
	}
	return flags
}
