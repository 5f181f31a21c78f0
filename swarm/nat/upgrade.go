package nat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// punchDialTime bounds each dial of a hole punch. TCP's second SYN, which the hole may need, leaves after a second.
	punchDialTime = 5 * time.Second
	// punchAgain and maxPunchAgain are how long after a hole punch that failed the next one follows: at first, and in the long run. The first one is made as soon as there is a relayed connection,
	// when a peer that has just started may not know its addresses yet.
	punchAgain    = 2 * time.Second
	maxPunchAgain = 10 * time.Minute
	// maxPunches is how many hole punches are tried again at once.
	maxPunches = 4
	// moveTime is how long those who use a relayed connection have to move to a direct one before it is closed, if they have left it by then; closeTime is how long at most.
	moveTime  = 3 * time.Second
	closeTime = 30 * time.Second
)

// upgrader replaces relayed connections by direct ones.
//
// libp2p's service punches a hole when somebody connects through a relay (DCUtR, https://github.com/libp2p/specs/blob/master/relay/DCUtR.md). The upgrader tells it the addresses, tries again
// later, and closes relayed connections that are not needed any more.
type upgrader struct {
	t       *Traversal
	service *holepunch.Service
	close   func() error
	tasks   sync.WaitGroup
	slots   chan struct{} // one element for each attempt under way

	punched, failed atomic.Int64

	ready   bool                  // the service has addresses that holes lead to; run's own
	retries map[peer.ID]*attempts // run's own
}

// attempts is when a peer is tried again.
type attempts struct {
	next  time.Time
	pause time.Duration
}

func newUpgrader(t *Traversal) (*upgrader, error) {
	ids := swarm.IDService(t.host)
	if ids == nil {
		return nil, fault.New(fault.Invalid, "nat: the host does not identify peers")
	}
	u := &upgrader{t: t, slots: make(chan struct{}, maxPunches), retries: make(map[peer.ID]*attempts)}
	var err error
	u.service, err = holepunch.NewService(t.host, ids, t.punchable, holepunch.DirectDialTimeout(punchDialTime), holepunch.WithTracer(u))
	if err != nil {
		return nil, fmt.Errorf("punch holes: %w", err)
	}
	u.close = sync.OnceValue(u.service.Close)
	return u, nil
}

// Trace counts hole punches.
func (u *upgrader) Trace(e *holepunch.Event) {
	end, ok := e.Evt.(*holepunch.EndHolePunchEvt)
	if !ok {
		return
	}
	if end.Success {
		u.punched.Add(1)
	} else {
		u.failed.Add(1)
	}
	u.t.logger.Debug("hole punch", "peer", e.Remote, "success", end.Success, "error", end.Error)
}

// punchable returns the addresses that a peer can try while this node tries to reach it.
func (t *Traversal) punchable() []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, a := range slices.Concat(t.observed.addrs(), t.cfg.Announce, t.own.Load().addrs) {
		if a, _ = split(a); a != nil && t.wide(a) && swarm.CanLearnPeerID(a) && dialable(a) && !ma.Contains(addrs, a) && len(addrs) < maxChecked {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// run looks after relayed connections until ctx ends.
func (u *upgrader) run(ctx context.Context) {
	defer u.tasks.Wait()
	defer u.close()
	tick := time.NewTicker(scanInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			u.scan(time.Now())
		}
	}
}

func (u *upgrader) scan(now time.Time) {
	relayed := make(map[peer.ID]bool)
	for _, c := range u.t.host.Network().Conns() {
		if !swarm.IsRelayed(c.RemoteMultiaddr()) || c.IsClosed() {
			continue
		}
		p := c.RemotePeer()
		if direct := directConn(u.t.host.Network(), p); direct != nil {
			u.retire(now, c, direct)
			continue
		}
		if c.Stat().Direction == network.DirInbound { // it is for this side to begin
			relayed[p] = true
			u.retry(now, p)
		}
	}
	for p := range u.retries {
		if !relayed[p] {
			delete(u.retries, p)
		}
	}
	// The service answers the protocol once it has an address, and is ready for the next scan.
	u.ready = u.ready || slices.Contains(u.t.host.Mux().Protocols(), holepunch.Protocol)
}

// retire closes a relayed connection beside a direct one, when those who used it have had the time to move.
func (u *upgrader) retire(now time.Time, relayed, direct network.Conn) {
	age := now.Sub(direct.Stat().Opened)
	inUse := slices.ContainsFunc(relayed.GetStreams(), func(s network.Stream) bool { return !slices.Contains(u.t.cfg.Restarted, s.Protocol()) })
	if age > closeTime || age > moveTime && !inUse {
		_ = relayed.Close()
	}
}

// retry has a hole punched if it is time.
func (u *upgrader) retry(now time.Time, p peer.ID) {
	a := u.retries[p]
	if a == nil {
		u.retries[p] = &attempts{next: now.Add(punchAgain), pause: punchAgain}
		return
	}
	if now.Before(a.next) || !u.ready {
		return
	}
	select {
	case u.slots <- struct{}{}:
	default:
		return
	}
	a.pause = min(2*a.pause, maxPunchAgain)
	a.next = now.Add(a.pause)
	u.tasks.Go(func() {
		defer func() { <-u.slots }()
		if err := u.service.DirectConnect(p); err != nil {
			u.t.logger.Debug("the connection stays relayed", "peer", p, "error", err)
		}
	})
}
