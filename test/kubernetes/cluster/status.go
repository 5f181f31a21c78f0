//go:build linux

package cluster

import (
	"context"
)

// Status is what a cluster is at the moment.
type Status struct {
	Name       string       `json:"name"`
	Kubernetes string       `json:"kubernetes"`
	Running    bool         `json:"running"`
	Kubeconfig string       `json:"kubeconfig,omitempty"`
	Link       string       `json:"link,omitempty"` // between the nodes: up or cut
	Nodes      []NodeStatus `json:"nodes"`
	Logs       string       `json:"logs,omitempty"`
}

// NodeStatus is what a node is at the moment.
type NodeStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Running says that its computer has power, Ready that the control plane finds it fit for pods.
	Running bool `json:"running"`
	Ready   bool `json:"ready"`
}

// StatusOf looks at the cluster of that name. It is no error if there is none.
func StatusOf(ctx context.Context, o Options) (Status, error) {
	c, err := newCluster(o)
	if err != nil {
		return Status{}, err
	}
	if c.existing != "" {
		return c.existingStatus(ctx)
	}
	if err := c.read(); err != nil {
		return Status{}, err
	}
	s := Status{Name: c.name, Kubernetes: KubernetesVersion, Running: c.running(), Nodes: []NodeStatus{}}
	if c.state == nil {
		return s, nil
	}
	s.Logs = c.home.folder
	ready := map[string]bool{}
	if s.Running {
		s.Kubeconfig, s.Link = c.Kubeconfig(), "up"
		if c.state.Cut {
			s.Link = "cut"
		}
		nodes, err := c.nodeObjects(ctx)
		if err != nil {
			return s, err
		}
		for _, n := range nodes {
			ready[n.Metadata.Name], _ = n.ready()
		}
	}
	for _, p := range places {
		s.Nodes = append(s.Nodes, NodeStatus{
			Name: p.name, Address: p.addr.Addr().String(), Running: c.state.Machines[p.name].Alive(), Ready: ready[p.name]})
	}
	return s, nil
}

func (c *Cluster) existingStatus(ctx context.Context) (Status, error) {
	nodes, err := c.nodeObjects(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: c.existing, Running: true, Kubeconfig: c.existing, Nodes: []NodeStatus{}}
	for _, n := range nodes {
		ready, _ := n.ready()
		s.Nodes = append(s.Nodes, NodeStatus{Name: n.Metadata.Name, Address: n.address(), Running: true, Ready: ready})
		s.Kubernetes = n.Status.NodeInfo.KubeletVersion
	}
	return s, nil
}
