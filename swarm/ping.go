package swarm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/folkmoot/folkmoot/fault"
)

// Ping measures one round trip to p by libp2p's ping protocol, on a connection that it opens where there is none. What opening a stream
// costs is not part of it: an exchange that is not measured goes before. Errors are fault.Unavailable
// when the peer cannot be reached or does not answer before ctx is over.
//
// Source: https://github.com/libp2p/specs/blob/master/ping/ping.md
func Ping(ctx context.Context, h host.Host, p peer.ID) (time.Duration, error) {
	if p == h.ID() {
		return 0, fault.New(fault.Invalid, "ping %s: this is the node itself", p)
	}
	s, err := h.NewStream(network.WithAllowLimitedConn(ctx, "ping"), p, ping.ID)
	if err != nil {
		return 0, fault.New(fault.Unavailable, "ping %s: %w", p, err)
	}
	unwatch := context.AfterFunc(ctx, func() { s.Reset() })
	_, err = echo(s) // agrees on the protocol on its way
	var rtt time.Duration
	if err == nil {
		rtt, err = echo(s)
	}
	if !unwatch() { // reset, or about to be
		err = ctx.Err()
	}
	s.Reset() // Close would wait for a peer that doesn't answer; the other side is done either way
	if err != nil {
		return 0, fault.New(fault.Unavailable, "ping %s: %w", p, err)
	}
	return rtt, nil
}

// echo sends random bytes and waits for them to come back.
func echo(s io.ReadWriter) (time.Duration, error) {
	var sent, got [ping.PingSize]byte
	rand.Read(sent[:])
	start := time.Now()
	if _, err := s.Write(sent[:]); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	if _, err := io.ReadFull(s, got[:]); err != nil {
		return 0, fmt.Errorf("receive: %w", err)
	}
	rtt := time.Since(start)
	if !bytes.Equal(sent[:], got[:]) {
		return 0, errors.New("the answer is not what was sent")
	}
	return rtt, nil
}
