package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	// pingPatience is the longest wait for one ping: whoever does not answer is told of within 5 s.
	pingPatience = 4500 * time.Millisecond
	// pingInterval is the pause between pings.
	pingInterval = 250 * time.Millisecond
	maxPings     = 10_000
)

func newPing(a *app) *cobra.Command {
	var count int
	cmd := a.command("ping PEER|ADDR", "Measure the way to a peer", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.ping(ctx, args[0], count)
	})
	cmd.Long = `Measure the time that a small message takes to a peer and back. The node that the command talks to sends it.
ADDR is a multiaddr, with or without /p2p/PEER at its end. Exits 4 when no answer came.`
	cmd.Example = `  moot ping 12D3KooWLr1gYejUTeriAsSu6roR2aQ423G3Q4fFTqzqSwTsMz9n
  moot ping ` + exampleAddr + ` -c 1`
	cmd.Flags().IntVarP(&count, "count", "c", 4, "how many times")
	cmd.ValidArgsFunction = a.completePeers
	return cmd
}

// pingResult is what --json prints; times are in microseconds.
type pingResult struct {
	Target   string    `json:"target"`
	ID       string    `json:"id,omitempty"`
	Sent     int       `json:"sent"`
	Answered int       `json:"answered"`
	Min      int64     `json:"min_us"`
	Avg      int64     `json:"avg_us"`
	Max      int64     `json:"max_us"`
	Pings    []v1.Pong `json:"pings"`
}

func (r *pingResult) add(p v1.Pong) {
	r.Answered++
	r.ID = p.ID
	r.Pings = append(r.Pings, p)
	if r.Answered == 1 {
		r.Min = p.RTTMicros
	}
	r.Min, r.Max = min(r.Min, p.RTTMicros), max(r.Max, p.RTTMicros)
	r.Avg += (p.RTTMicros - r.Avg) / int64(r.Answered)
}

func (a *app) ping(ctx context.Context, target string, count int) error {
	if count < 1 || count > maxPings {
		return fault.New(fault.Invalid, "option --count: want 1 to %d, got %d", maxPings, count)
	}
	if err := checkTarget(target); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	result := pingResult{Target: target, Pings: []v1.Pong{}}
	for result.Sent < count {
		if result.Sent > 0 {
			if err := pause.For(ctx, pingInterval); err != nil {
				return err
			}
		}
		result.Sent++
		pong, err := pingOnce(ctx, c.Ping, target)
		switch {
		case err == nil:
			result.add(pong)
			if !a.json {
				a.printf("%s at %s: %s\n", printable(pong.ID), printable(pong.Address), millis(pong.RTTMicros))
			}
		case result.Answered == 0, fault.KindOf(err) != fault.Unavailable:
			return a.pingFailed(target, err)
		default:
			a.notef("no answer to ping %d: %s", result.Sent, oneLine(err.Error()))
		}
	}
	return a.show(result, func() {
		a.printf("%s of %s answered: min %s, avg %s, max %s\n", grouped(int64(result.Answered)), plural(result.Sent, "ping"),
			millis(result.Min), millis(result.Avg), millis(result.Max))
	})
}

func pingOnce(ctx context.Context, ping func(context.Context, string) (v1.Pong, error), target string) (v1.Pong, error) {
	once, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	pong, err := ping(once, target)
	if err != nil && ctx.Err() == nil && errors.Is(once.Err(), context.DeadlineExceeded) {
		err = fault.New(fault.Unavailable, "no answer within %s", pingPatience)
	}
	return pong, err
}

func (a *app) pingFailed(target string, err error) error {
	err = a.askFailed("ping", target, err)
	if fault.KindOf(err) == fault.NotFound {
		return advise(err, `"moot peers" lists the peers known; ping one that is not among them by its address`)
	}
	return err
}
