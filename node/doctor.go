package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/discovery/dns"
	"github.com/folkmoot/folkmoot/discovery/mdns"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/machine"
	"github.com/folkmoot/folkmoot/internal/pause"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// lookTime bounds what is asked of others.
	lookTime = 5 * time.Second
	// maxEntrances is how many addresses are tried, and maxSuspects how many peers that are late are named.
	maxEntrances = 8
	maxSuspects  = 8
	// voteTime is how long validators may take to vote, far more than a round takes.
	voteTime = 2 * time.Second
	// syncs is how often the disk is tried; the middle one counts.
	syncs = 5
)

// Doctor implements api.Backend. One looks at a time: it costs the disk syncs and others questions, and whoever may read may ask.
func (b backend) Doctor(ctx context.Context) (v1.Diagnosis, error) {
	select {
	case b.n.looking <- struct{}{}:
		defer func() { <-b.n.looking }()
	case <-ctx.Done():
		return v1.Diagnosis{}, fault.New(fault.Unavailable, "the node looks at itself for others who asked before: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return diagnose(b.n.facts(ctx)), nil
}

// facts looks at the node, its machine and those around it.
func (n *Node) facts(ctx context.Context) *facts {
	f := &facts{now: time.Now().UTC(), version: n.cfg.Version, versions: map[string]int{}, kubernetes: os.Getenv("KUBERNETES_SERVICE_HOST") != "", reachability: n.reachability()}
	for _, m := range n.View().Members {
		if m.ID == n.ID() {
			continue
		}
		switch m.State {
		case routing.Alive:
			f.alive++
			f.versions[m.Version]++
		case routing.Dead:
			f.dead = append(f.dead, m.ID.String())
		case routing.Suspect:
			if f.suspects++; len(f.suspect) < maxSuspects {
				f.suspect = append(f.suspect, m.ID.String())
			}
		}
	}
	var asking sync.WaitGroup
	if f.alive == 0 {
		asking.Go(func() { n.lookAround(ctx, f) })
	}
	asking.Go(func() { f.standing, f.standingErr = backend{n}.Standing(ctx) })
	asking.Go(func() { f.sync, f.syncErr = syncTime(n.cfg.Home) }) // beside the look at the ledger, which takes seconds where that stands still
	f.free, f.total, _ = machine.Disk(n.cfg.Home)
	stats := n.store.Stats()
	f.quota, f.used, f.written = stats.Quota, stats.DiskBytes, n.store.ClockBehind()
	f.ahead, f.clocks = n.store.ClockAhead()
	f.files, f.limit = n.descriptors()
	f.quic = slices.ContainsFunc(n.host.Network().ListenAddresses(), func(a ma.Multiaddr) bool { return strings.Contains(a.String(), "/quic-v1") })
	f.udpBuffer = machine.UDPBuffer(wantedUDPBuffer)
	n.ledgerFacts(ctx, f)
	asking.Wait()
	return f
}

func (n *Node) ledgerFacts(ctx context.Context, f *facts) {
	if n.ledger == nil {
		return
	}
	l, err := ledgerBackend{n, n.ledger}.Status(ctx)
	if f.ledgerProblem = l.Problem; err != nil {
		f.ledgerProblem = err.Error()
	}
	f.behind = n.ledger.Engine().Behind
	t, stands := n.standsStill(ctx)
	if !stands {
		n.findAbsent(f)
		return
	}
	f.power, f.voted, f.stands = t.Power, t.Voted, true
	for _, key := range t.Absent {
		f.absent = append(f.absent, key.String())
	}
}

// findAbsent tells which validators have missed too many blocks in a row.
func (n *Node) findAbsent(f *facts) {
	validators, err := n.ledger.Validators()
	if err != nil {
		return // the ledger's own state says so
	}
	attendance, err := n.ledger.Attendance()
	if err != nil {
		return
	}
	for _, v := range validators {
		f.power += int64(v.Power)
		if attendance.Of[ledger.PublicKey(v.Key)].Missed < missedInARow {
			f.voted += int64(v.Power)
			continue
		}
		f.absent = append(f.absent, v.Key.String())
	}
}

// standsStill tells whose votes the ledger waits for, where it has waited for more than voteTime: its last block says nothing of those who left after it.
func (n *Node) standsStill(ctx context.Context) (consensus.Turnout, bool) {
	before, round, lacking := n.ledger.Lacking()
	if !lacking || pause.For(ctx, voteTime) != nil {
		return consensus.Turnout{}, false
	}
	now, again, lacking := n.ledger.Lacking()
	return now, lacking && now.Height == before.Height && again == round
}

// descriptors returns how many files the process has open, and how many it may.
func (n *Node) descriptors() (open, limit int) {
	families, err := n.metrics.Gather()
	if err != nil {
		return 0, 0
	}
	for _, family := range families {
		switch family.GetName() {
		case "process_open_fds":
			open = int(family.GetMetric()[0].GetGauge().GetValue())
		case "process_max_fds":
			limit = int(min(family.GetMetric()[0].GetGauge().GetValue(), 1<<30))
		}
	}
	return open, limit
}

// lookAround finds out why a node is alone.
func (n *Node) lookAround(ctx context.Context, f *facts) {
	f.names, f.bootstrap, f.failures = map[string]error{}, map[string]entrance{}, map[string]error{}
	var mu sync.Mutex
	var looking sync.WaitGroup
	defer looking.Wait()
	if f.mdns = n.cfg.MDNS; f.mdns {
		looking.Go(func() { f.multicast = mdns.Works(ctx) })
	}
	try := func(address ma.Multiaddr, called string) entrance {
		result, err := n.enter(ctx, address)
		mu.Lock()
		defer mu.Unlock()
		f.bootstrap[called], f.failures[called] = result, err
		return result
	}
	for _, address := range n.cfg.Bootstrap[:min(len(n.cfg.Bootstrap), maxEntrances)] {
		looking.Go(func() { try(address, address.String()) })
	}
	for _, name := range n.cfg.DNS {
		looking.Go(func() {
			addresses, err := dns.Lookup(ctx, nil, name)
			var others atomic.Int64
			var trying sync.WaitGroup
			for _, address := range addresses[:min(len(addresses), maxEntrances)] {
				trying.Go(func() {
					if try(address, fmt.Sprintf("%s (of %s)", address, name)) != entranceSelf {
						others.Add(1)
					}
				})
			}
			trying.Wait()
			mu.Lock()
			defer mu.Unlock()
			if f.names[name] = err; err == nil && others.Load() == 0 {
				f.names[name] = errOnlySelf
			}
		})
	}
}

// enter tries an address that others were said to be at.
func (n *Node) enter(ctx context.Context, address ma.Multiaddr) (entrance, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime/2)
	defer cancel()
	transport, _ := peer.SplitAddr(address)
	if kind, target, err := manet.DialArgs(transport); err == nil && strings.HasPrefix(kind, "tcp") {
		conn, err := (&net.Dialer{}).DialContext(ctx, kind, target)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return entranceRefused, nil
		case err != nil && (ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded)): // a dialler may be over a moment before its context
			return entranceSilent, nil
		case err != nil:
			return entranceFailed, err
		}
		conn.Close()
	}
	id, err := swarm.LearnPeerID(ctx, address)
	switch {
	case err != nil && ctx.Err() != nil && swarm.TransportOf(transport) == "quic-v1":
		return entranceUnheard, nil
	case err != nil && ctx.Err() != nil:
		return entranceSilent, nil
	case err != nil:
		return entranceFailed, err
	case id == n.ID():
		return entranceSelf, nil
	}
	if err := n.host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}}); err != nil {
		return entranceFailed, err
	}
	spoken, err := n.host.Peerstore().SupportsProtocols(id, routing.MembershipProtocol(n.home.NetworkID))
	if err == nil && len(spoken) == 0 {
		return entranceForeign, nil
	}
	return entranceOpen, err
}

// syncTime returns how long the disk takes to sync a small file.
func syncTime(dir string) (time.Duration, error) {
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var took []time.Duration
	for range syncs {
		start := time.Now()
		if _, err := file.Write(make([]byte, 4<<10)); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[syncs/2], nil
}
