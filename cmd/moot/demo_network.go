package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/dashboard"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/routing"
)

// demoAwayGrace is how long the others of a demo wait for a peer that was stopped before they make its copies anew: nobody wants to watch them wait.
const demoAwayGrace = 5 * time.Second

// demoZones are the failure domains of a demo's peers, in turn.
var demoZones = [...]string{"east", "west"}

// demoNetwork is the peers of a demo, each of which can be stopped and started again.
type demoNetwork struct {
	dir   string
	peers []*demoPeer
}

// demoPeer is one peer with its home.
type demoPeer struct {
	home   string
	config node.Config
	node   *node.Node // belongs to run, once that goes
	// A send is taken when run waits for it: a running peer for stops and kills, a stopped one for starts.
	stops, kills, starts chan struct{}
}

// openDemo opens the nodes; each knows the first one's address.
func openDemo(dir string, peers int) (d *demoNetwork, err error) {
	d = &demoNetwork{dir: dir}
	defer func() {
		if err != nil {
			for _, p := range d.peers {
				err = errors.Join(err, p.node.Close())
			}
		}
	}()
	if err := foundDemo(dir, peers); err != nil {
		return d, err
	}
	var first []ma.Multiaddr
	for i := range peers {
		p, err := openDemoPeer(demoHome(dir, i), demoZones[i%min(len(demoZones), peers)], first)
		if err != nil {
			return d, fmt.Errorf("peer %d: %w", i+1, err)
		}
		d.peers = append(d.peers, p)
		first = d.peers[0].node.Addrs()
	}
	return d, nil
}

func demoHome(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("peer-%d", i+1)) }

func openDemoPeer(home, zone string, bootstrap []ma.Multiaddr) (*demoPeer, error) {
	var listen []ma.Multiaddr
	for _, text := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		listen = append(listen, addr)
	}
	page, err := dashboard.Files()
	if err != nil {
		return nil, err
	}
	p := &demoPeer{home: home, stops: make(chan struct{}), kills: make(chan struct{}), starts: make(chan struct{}), config: node.Config{
		Home: home, Zone: zone, Listen: listen, Bootstrap: bootstrap, AwayGrace: demoAwayGrace,
		API:     node.APIConfig{Listen: "127.0.0.1:0", UI: page},
		Version: thisBuild().Version, Rejoin: true, // what was made to leave can be started again
	}}
	if p.node, err = node.New(p.config); err != nil {
		return nil, err
	}
	if err := p.settle(); err != nil {
		return nil, errors.Join(err, p.node.Close())
	}
	return p, nil
}

// settle keeps the addresses that the peer got, for when it is started again.
func (p *demoPeer) settle() error {
	api, err := url.Parse(p.node.APIURL())
	if err != nil {
		return err
	}
	p.config.API.Listen = api.Host
	p.config.Listen = nil
	for _, addr := range p.node.Addrs() {
		bare, _ := peer.SplitAddr(addr)
		p.config.Listen = append(p.config.Listen, bare)
	}
	return nil
}

// run runs the peers that are not stopped until ctx ends or one fails.
func (d *demoNetwork) run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	for i, p := range d.peers {
		parts.Go(func() error {
			if err := p.run(ctx); err != nil {
				return fmt.Errorf("peer %d: %w", i+1, err)
			}
			return nil
		})
	}
	return parts.Wait()
}

// run runs the peer until ctx ends or it fails. While it is stopped it waits to be started.
func (p *demoPeer) run(ctx context.Context) (err error) {
	for {
		if err := p.runOnce(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.starts:
		}
		if p.node, err = node.New(p.config); err != nil {
			return fmt.Errorf("start it again: %w", err)
		}
	}
}

func (p *demoPeer) runOnce(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- p.node.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-p.stops:
		stop(nil)
		return <-ended
	case <-p.kills:
		stop(node.ErrCutOff)
		<-ended // what broke off has its errors
		return nil
	}
}

// nodes returns the nodes, none of which was stopped yet.
func (d *demoNetwork) nodes() []*node.Node {
	list := make([]*node.Node, len(d.peers))
	for i, p := range d.peers {
		list[i] = p.node
	}
	return list
}

// await waits until every node serves and sees all the others alive.
func (d *demoNetwork) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fault.New(fault.Unavailable, "the peers did not find one another within %s", demoPatience))
	defer cancel()
	for _, n := range d.nodes() {
		select {
		case <-n.Ready():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for changed := n.ViewChanged(); n.View().Count(routing.Alive) < len(d.peers); changed = n.ViewChanged() {
			select {
			case <-changed:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// startPatience is how long an order to start waits for a peer that is still stopping.
const startPatience = 5 * time.Second

// obey does what lines say, such as "stop 4", "kill 4" and "start 4", until they end or ctx does. That no more can be read, as in the background of a terminal, ends them.
func (d *demoNetwork) obey(lines io.Reader, tell func(format string, args ...any)) {
	orders := bufio.NewScanner(lines)
	for orders.Scan() {
		if line := strings.TrimSpace(orders.Text()); line != "" {
			tell("%s", d.order(line))
		}
	}
}

// order does what one line says, and tells what came of it.
func (d *demoNetwork) order(line string) string {
	verb, number, _ := strings.Cut(line, " ")
	i, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || i < 1 || i > len(d.peers) || !slices.Contains([]string{"stop", "kill", "start"}, verb) {
		return fmt.Sprintf("%q is no order: want \"stop N\", \"kill N\" or \"start N\", N from 1 to %d", line, len(d.peers))
	}
	orders, done, already := d.peers[i-1].stops, "stops, and says that it will be back", "is stopped already, or about to be"
	patience := 100 * time.Millisecond
	switch verb {
	case "kill":
		orders, done = d.peers[i-1].kills, "is killed, and says nothing"
	case "start":
		orders, done, already = d.peers[i-1].starts, "starts", "runs already"
		patience = startPatience
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case orders <- struct{}{}:
		return fmt.Sprintf("peer %d %s", i, done)
	case <-late.C:
		return fmt.Sprintf("peer %d %s", i, already)
	}
}
