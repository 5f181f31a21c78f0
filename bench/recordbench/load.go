package recordbench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/folkmoot/folkmoot/bench/measure"
)

// Operations.
const (
	opPut    = "PUT"
	opGet    = "GET"
	opSteady = "GET at half" // GET at half of the rate that was reached just before
)

const (
	// warmUp is the part of a figure's time for which a system is used before it is measured, so that streams are open.
	warmUp = 2
	// warmCallers is how many callers warm it up.
	warmCallers = 16
	// steadyCallers bounds the operations under way where the rate is given.
	steadyCallers = 512
)

// A point is what is measured: an operation under a load.
type point struct {
	operation     string
	size, callers int
}

// bench measures one cluster.
type bench struct {
	cluster  cluster
	entries  int // operations are made at the first so many peers, in random order
	cfg      *Config
	measured map[point]measure.Result
}

// run measures PUT, GET of what was put, and after the largest number of callers GET at half of the rate.
func (b *bench) run(ctx context.Context, callers, sizes []int) error {
	b.measured = make(map[point]measure.Result)
	for _, size := range sizes {
		warm := values{prefix: fmt.Sprintf("warm-%d", size), size: size}
		if _, err := b.load(ctx, measure.Load{Callers: warmCallers, Duration: b.cfg.Duration / warmUp, Do: b.put(warm)}); err != nil {
			return err
		}
		for _, n := range callers {
			if err := b.runPoint(ctx, n, size, n == slices.Max(callers)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) runPoint(ctx context.Context, callers, size int, steady bool) error {
	v := values{prefix: fmt.Sprintf("%d-%d", size, callers), size: size}
	puts, err := b.load(ctx, measure.Load{Callers: callers, Duration: b.cfg.Duration, Do: b.put(v)})
	if err != nil {
		return err
	}
	gets, err := b.load(ctx, measure.Load{Callers: callers, Duration: b.cfg.Duration, Do: b.get(v, puts.Operations)})
	if err != nil {
		return err
	}
	b.measured[point{opPut, size, callers}], b.measured[point{opGet, size, callers}] = puts, gets
	if !steady || gets.Rate() == 0 {
		return nil
	}
	half, err := b.load(ctx, measure.Load{Callers: steadyCallers, Duration: b.cfg.Duration, Rate: gets.Rate() / 2, Do: b.get(v, puts.Operations)})
	b.measured[point{opSteady, size, callers}] = half
	return err
}

func (b *bench) load(ctx context.Context, l measure.Load) (measure.Result, error) {
	l.CPU = b.cluster.CPU
	return measure.Run(ctx, l)
}

func (b *bench) put(v values) func(context.Context, int) error {
	return func(ctx context.Context, i int) error {
		return b.cluster.Put(ctx, rand.IntN(b.entries), v.key(i), v.value(i))
	}
}

// get reads one of the first n keys and compares.
func (b *bench) get(v values, n int) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		i := rand.IntN(n)
		got, err := b.cluster.Get(ctx, rand.IntN(b.entries), v.key(i))
		if err == nil && !bytes.Equal(got, v.value(i)) {
			err = fmt.Errorf("got %d other bytes under %s", len(got), v.key(i))
		}
		return err
	}
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
