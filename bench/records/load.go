package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/folkmoot/folkmoot/bench/measure"
)

const (
	put = "PUT"
	get = "GET"
)

// warmUp is the part of a measurement's duration for which a system is used before it is measured, so that streams are open.
const warmUp = 3

// measureSize measures PUT and then GET of what was put, for each number of callers. Every operation is at a random peer.
func measureSize(ctx context.Context, o options, c cluster, size int, results map[point]measure.Result) error {
	warm := values{prefix: fmt.Sprintf("warm-%d", size), size: size}
	_, err := measure.Run(ctx, measure.Load{Callers: 16, Duration: o.duration / warmUp, Do: warm.put(c, o.peers)})
	if err != nil {
		return err
	}
	for _, callers := range o.callers {
		v := values{prefix: fmt.Sprintf("%d-%d", size, callers), size: size}
		puts, err := measure.Run(ctx, measure.Load{Callers: callers, Duration: o.duration, Do: v.put(c, o.peers)})
		if err != nil {
			return err
		}
		gets, err := measure.Run(ctx, measure.Load{Callers: callers, Duration: o.duration, Do: v.get(c, o.peers, puts.Operations)})
		if err != nil {
			return err
		}
		results[point{put, size, callers}], results[point{get, size, callers}] = puts, gets
	}
	return nil
}

// values are keys with the values that belong to them, by number.
type values struct {
	prefix string
	size   int
}

func (v values) key(i int) string { return fmt.Sprintf("%s-%d", v.prefix, i) }

// value is the same at every call, differs from key to key, and does not compress.
func (v values) value(i int) []byte {
	var seed [32]byte
	copy(seed[8:], v.prefix)
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	out := make([]byte, v.size)
	rand.NewChaCha8(seed).Read(out) //nolint:errcheck // it never fails
	return out
}

func (v values) put(c cluster, peers int) func(context.Context, int) error {
	return func(ctx context.Context, i int) error {
		return c.Put(ctx, rand.IntN(peers), v.key(i), v.value(i))
	}
}

// get reads one of the first n keys and compares.
func (v values) get(c cluster, peers, n int) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		i := rand.IntN(n)
		got, err := c.Get(ctx, rand.IntN(peers), v.key(i))
		if err == nil && !bytes.Equal(got, v.value(i)) {
			err = fmt.Errorf("got %d other bytes under %s", len(got), v.key(i))
		}
		return err
	}
}
