package discovery

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
)

const (
	// AttemptTimeout bounds one attempt: learning who is at an address, connecting and identifying.
	AttemptTimeout = 15 * time.Second
	// YieldTime is how long the one of two peers that has the greater id lets the other connect first. Peers that find one
	// another tend to do so at the same moment, and libp2p dials from the port it listens on: two TCP dials that cross become one
	// connection with a client at both ends (RFC 9293, section 3.5), whose handshake fails. Where they miss one another, there are two connections.
	YieldTime = 250 * time.Millisecond
)

// attempt makes one attempt and tells the plan how it ended.
func (c *Connector) attempt(ctx context.Context, a attempt) {
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
	defer cancel()
	how, err := c.try(ctx, &a)
	if err != nil {
		c.log.Debug("could not connect", "to", describe(a), "finder", c.cfg.Finders[a.finder].Name(), "error", err)
	}
	c.mu.Lock()
	if how == connected {
		for _, finder := range append(c.plan.finders(a.id), a.finder) {
			c.sources.add(a.id, finder)
		}
	}
	c.plan.finish(time.Now(), a, how)
	c.mu.Unlock()
	c.signal()
}

// try connects to a known peer, or to whoever is at the address of an unknown one. On success, a.id is the peer.
func (c *Connector) try(ctx context.Context, a *attempt) (outcome, error) {
	if a.id != "" {
		return c.tryPeer(ctx, a)
	}
	addr := a.addrs[0]
	c.mu.Lock()
	id := c.learned.get(addr, time.Now())
	c.mu.Unlock()
	if id != "" {
		how, err := c.tryLearned(ctx, a, id)
		if how != unreached {
			return how, err
		}
		// A pod's address outlives the pod: it may be another peer's by now.
		c.mu.Lock()
		c.learned.forget(addr)
		c.mu.Unlock()
	}
	id, err := c.cfg.Learn(ctx, addr)
	if err != nil {
		return unlearned, err
	}
	c.mu.Lock()
	c.learned.set(addr, id, time.Now())
	c.mu.Unlock()
	if id == c.cfg.Host.ID() {
		return itself, nil
	}
	return c.tryLearned(ctx, a, id)
}

// tryLearned connects to the peer that the address of a is believed to lead to. Unless it could, a.id is empty again.
func (c *Connector) tryLearned(ctx context.Context, a *attempt, id peer.ID) (outcome, error) {
	c.mu.Lock()
	mine := c.plan.claim(a, id)
	c.mu.Unlock()
	if !mine {
		return claimed, nil
	}
	how, err := c.tryPeer(ctx, a)
	if how != connected {
		c.mu.Lock()
		c.plan.release(a)
		c.mu.Unlock()
	}
	return how, err
}

// tryPeer connects to the peer a.id and finds out whether it is of our network. Of connections to a peer that isn't, it
// closes those that it opened itself.
func (c *Connector) tryPeer(ctx context.Context, a *attempt) (outcome, error) {
	if c.isConnected(a.id) || c.yield(ctx, a.id) {
		return connected, nil
	}
	start := time.Now()
	if err := c.cfg.Host.Connect(ctx, peer.AddrInfo{ID: a.id, Addrs: a.addrs}); err != nil {
		return unreached, err
	}
	opened := c.openedSince(a.id, start)
	if len(opened) == 0 {
		return connected, nil // the peer came to us meanwhile; it is not ours to judge
	}
	how, err := c.judge(a.id)
	if how != connected {
		for _, conn := range opened {
			_ = conn.Close()
		}
		return how, err
	}
	c.mu.Lock()
	for _, conn := range opened {
		c.learned.set(conn.RemoteMultiaddr(), a.id, time.Now())
	}
	c.mu.Unlock()
	c.log.Debug("connected", "peer", a.id, "finder", c.cfg.Finders[a.finder].Name())
	return connected, nil
}

// yield gives a peer the time to connect first, if it is its turn, and returns whether it did.
func (c *Connector) yield(ctx context.Context, id peer.ID) bool {
	return c.cfg.Host.ID() > id && backoff.Sleep(ctx, YieldTime) && c.isConnected(id)
}

// openedSince returns the connections to a peer that were opened from here since start.
func (c *Connector) openedSince(id peer.ID, start time.Time) []network.Conn {
	var opened []network.Conn
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(id) {
		if s := conn.Stat(); s.Direction == network.DirOutbound && !s.Opened.Before(start) {
			opened = append(opened, conn)
		}
	}
	return opened
}

// judge returns what a peer just connected to is, by the protocols that it was identified to speak.
func (c *Connector) judge(id peer.ID) (outcome, error) {
	protocols, err := c.cfg.Host.Peerstore().GetProtocols(id)
	switch {
	case err != nil:
		return unreached, err
	case len(protocols) == 0:
		return unreached, errUnidentified
	}
	for _, p := range protocols {
		if p == c.cfg.Protocol {
			return connected, nil
		}
	}
	return stranger, errStranger
}
