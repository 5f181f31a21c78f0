// Package cluster runs a real Kubernetes of two nodes on one Linux machine: etcd, the control plane, and two nodes with kubelet,
// kube-proxy and containerd, each node in namespaces of its own. It needs no container registry and leaves the machine as it was.
//
// Kubernetes is built from Go modules once and kept in the user's cache folder. The nodes and the control plane meet on a network
// of their own, the LAN, that nothing else on the machine sees; a port on the machine's loopback leads to the API server.
package cluster
