//go:build linux

package cluster

import (
	"context"
	"fmt"
	"time"
)

// CutLink stops packets between the nodes and their pods; each node still reaches the control plane, and the control plane both.
func (c *Cluster) CutLink(ctx context.Context) error { return c.setLink(ctx, true) }

// HealLink undoes CutLink.
func (c *Cluster) HealLink(ctx context.Context) error { return c.setLink(ctx, false) }

func (c *Cluster) setLink(ctx context.Context, cut bool) error {
	return c.change(ctx, func() error {
		if err := c.network.cut(cut); err != nil {
			return err
		}
		c.state.Cut = cut
		return c.home.save(c.state)
	})
}

// KillNode pulls the plug of a node: every process on it ends at once and it leaves the network. Its disk stays.
func (c *Cluster) KillNode(ctx context.Context, node string) error {
	p, err := placeOf(node)
	if err != nil {
		return err
	}
	return c.change(ctx, func() error {
		if !c.state.Machines[node].Alive() {
			return fmt.Errorf("%s does not run", node)
		}
		return c.powerOff(ctx, p)
	})
}

// StartNode starts a node that was killed, and returns once it has told the control plane that it is ready.
func (c *Cluster) StartNode(ctx context.Context, node string) error {
	p, err := placeOf(node)
	if err != nil {
		return err
	}
	begun := time.Now()
	err = c.change(ctx, func() error {
		if c.state.Machines[node].Alive() {
			return fmt.Errorf("%s runs already", node)
		}
		if err := c.powerOff(ctx, p); err != nil { // of a node that ended by itself its network is left
			return err
		}
		return c.powerOn(ctx, p)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	return await(ctx, node, func(ctx context.Context) error {
		nodes, err := c.nodeObjects(ctx)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if ready, at := n.ready(); n.Metadata.Name == node && ready && at.After(begun) {
				return nil
			}
		}
		return fmt.Errorf("%s is not ready since it was started", node)
	})
}

// change runs f on a cluster of our own that is up, while nobody else changes it.
func (c *Cluster) change(ctx context.Context, f func() error) error {
	if c.existing != "" {
		return errExisting
	}
	return c.locked(ctx, func() error {
		if !c.running() {
			return ErrNotUp
		}
		return f()
	})
}

// locked runs f with the state that the cluster was left in, while nobody else changes it.
func (c *Cluster) locked(ctx context.Context, f func() error) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if c.state, err = c.home.load(); err != nil {
		return err
	}
	return f()
}
