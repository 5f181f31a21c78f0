// Ping measures a round trip of the swarm's ping beside one over a raw TCP connection, both on loopback, in turns in the
// same run.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/swarm"
)

const (
	// payload is the size of libp2p's ping.
	payload = 32
	// warmUp is how many round trips of each kind come first and are not counted.
	warmUp = 100
	// pause goes before each round trip, so that each kind begins on a quiet machine.
	pause = time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	count := flag.Int("count", 5000, "round trips of each kind")
	flag.Parse()
	if err := run(ctx, *count); err != nil {
		fmt.Fprintln(os.Stderr, "bench/ping:", err)
		os.Exit(1)
	}
}

// A kind is a way to make a round trip.
type kind struct {
	name  string
	trip  func(context.Context) (time.Duration, error)
	times []time.Duration
}

func run(ctx context.Context, count int) error {
	raw, err := dialEcho(ctx)
	if err != nil {
		return err
	}
	defer raw.Close()
	kinds := []*kind{{name: "raw TCP", trip: raw.trip}}
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		pair, err := connectPair(ctx, listen)
		if err != nil {
			return err
		}
		defer pair.Close()
		kinds = append(kinds, &kind{name: "moot over " + swarm.TransportOf(ma.StringCast(listen)), trip: pair.trip})
	}
	if err := measureInTurns(ctx, kinds, count); err != nil {
		return err
	}
	return report(kinds, count)
}

// measureInTurns lets the kinds take turns, so that whatever else the machine does meets all of them.
func measureInTurns(ctx context.Context, kinds []*kind, count int) error {
	for i := range warmUp + count {
		for _, k := range kinds {
			time.Sleep(pause)
			took, err := k.trip(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			if i >= warmUp {
				k.times = append(k.times, took)
			}
		}
	}
	return nil
}

func report(kinds []*kind, count int) error {
	fmt.Printf("%d round trips of each kind on loopback, in turns, %v between them; %s\n\n", count, pause, measure.Conditions())
	table := measure.NewTable("", "p50", "p99", "p50 : raw TCP")
	base := measure.Quantile(kinds[0].times, 0.5)
	for _, k := range kinds {
		p50 := measure.Quantile(k.times, 0.5)
		table.Add(k.name, micros(p50), micros(measure.Quantile(k.times, 0.99)), fmt.Sprintf("%.1f", float64(p50)/float64(base)))
	}
	return table.Write(os.Stdout)
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
}

// echo is a TCP connection whose other end sends everything back.
type echo struct {
	listener net.Listener
	conn     net.Conn
	serving  sync.WaitGroup
}

func dialEcho(ctx context.Context) (_ *echo, err error) {
	e := new(echo)
	if e.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	e.serving.Go(func() {
		conn, err := e.listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, payload)
		for {
			if _, err := io.ReadFull(conn, buf); err != nil {
				return
			}
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	})
	if e.conn, err = new(net.Dialer).DialContext(ctx, "tcp", e.listener.Addr().String()); err != nil {
		return nil, errors.Join(err, e.listener.Close())
	}
	return e, nil
}

// trip makes two round trips and measures the second, as the swarm's ping does.
func (e *echo) trip(context.Context) (time.Duration, error) {
	if _, err := e.exchange(); err != nil {
		return 0, err
	}
	return e.exchange()
}

func (e *echo) exchange() (time.Duration, error) {
	var buf [payload]byte
	began := time.Now()
	if _, err := e.conn.Write(buf[:]); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(e.conn, buf[:])
	return time.Since(began), err
}

func (e *echo) Close() error {
	err := errors.Join(e.conn.Close(), e.listener.Close())
	e.serving.Wait()
	return err
}

// pair is two connected peers.
type pair struct{ from, to host.Host }

func connectPair(ctx context.Context, listen string) (_ pair, err error) {
	var p pair
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.from, err = newHost(listen); err != nil {
		return p, err
	}
	if p.to, err = newHost(listen); err != nil {
		return p, err
	}
	return p, p.from.Connect(ctx, peer.AddrInfo{ID: p.to.ID(), Addrs: p.to.Addrs()})
}

func newHost(listen string) (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	network, err := swarm.OpenNetwork("bench")
	if err != nil {
		return nil, err
	}
	return swarm.NewHost(swarm.Config{Key: key, Network: network, Listen: []ma.Multiaddr{ma.StringCast(listen)}})
}

func (p pair) trip(ctx context.Context) (time.Duration, error) {
	return swarm.Ping(ctx, p.from, p.to.ID())
}

func (p pair) Close() error {
	var errs []error
	for _, h := range []host.Host{p.from, p.to} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}
