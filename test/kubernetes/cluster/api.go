//go:build linux

package cluster

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"text/template"
	"time"
)

//go:embed addons.yaml
var addOns string

// awaitPause is how often the cluster is asked whether it is ready.
const awaitPause = 200 * time.Millisecond

// await asks until the answer is yes, or ctx ends; then the last reason is part of the error.
func await(ctx context.Context, what string, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; at last: %w", what, ctx.Err(), err)
		case <-time.After(awaitPause):
		}
	}
}

func (c *Cluster) awaitServer(ctx context.Context) error {
	return await(ctx, "the API server", func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "get", "--raw", "/readyz")
		return err
	})
}

// addOns makes what every cluster has.
func (c *Cluster) addOns(ctx context.Context) error {
	var text bytes.Buffer
	err := template.Must(template.New("addons").Parse(addOns)).Execute(&text, map[string]any{
		"Image": pauseImage, "Programs": c.state.Programs, "DNS": dnsService, "Provisioner": provisioner,
	})
	if err != nil {
		return err
	}
	_, err = c.KubectlInput(ctx, text.Bytes(), "apply", "--validate=false", "-f", "-")
	return err
}

func (c *Cluster) awaitNodes(ctx context.Context) error {
	return await(ctx, "the nodes", func(ctx context.Context) error {
		nodes, err := c.nodeObjects(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, n := range nodes {
			if ok, _ := n.ready(); ok {
				ready++
			}
		}
		if ready < len(places) {
			return fmt.Errorf("%d of %d nodes are ready", ready, len(places))
		}
		return nil
	})
}

func (c *Cluster) awaitAddOns(ctx context.Context) error {
	return await(ctx, "DNS and service accounts", func(ctx context.Context) error {
		ready, err := c.Kubectl(ctx, "get", "daemonset", "coredns", "-n", "kube-system", "-o", "jsonpath={.status.numberReady}")
		if err != nil {
			return err
		}
		if string(ready) != fmt.Sprint(len(places)) {
			return fmt.Errorf("DNS is ready on %q of %d nodes", ready, len(places))
		}
		_, err = c.Kubectl(ctx, "get", "serviceaccount", "default", "-n", "default")
		return err
	})
}

// A node is what the API server says of one.
type node struct {
	Metadata struct{ Name string }
	Status   struct {
		Conditions []struct {
			Type, Status      string
			LastHeartbeatTime time.Time
		}
		Addresses []struct{ Type, Address string }
		NodeInfo  struct{ KubeletVersion string }
	}
}

// ready says whether the node is, and when it said so itself.
func (n node) ready() (ready bool, at time.Time) {
	for _, condition := range n.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True", condition.LastHeartbeatTime
		}
	}
	return false, time.Time{}
}

func (n node) address() string {
	for _, a := range n.Status.Addresses {
		if a.Type == "InternalIP" {
			return a.Address
		}
	}
	return ""
}

func (c *Cluster) nodeObjects(ctx context.Context) ([]node, error) {
	out, err := c.Kubectl(ctx, "get", "nodes", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []node }
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("read what kubectl says of the nodes: %w", err)
	}
	return list.Items, nil
}

// findNodes learns the nodes of a cluster that existed before.
func (c *Cluster) findNodes(ctx context.Context) error {
	nodes, err := c.nodeObjects(ctx)
	if err != nil {
		return err
	}
	c.nodes = nil
	for _, n := range nodes {
		c.nodes = append(c.nodes, n.Metadata.Name)
	}
	return nil
}

// errExisting is for what can only be done to a cluster that this package started.
var errExisting = errors.New("that can't be done to a cluster that existed before (--kubeconfig), only to one of this harness")
