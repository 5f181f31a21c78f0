package recordbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/internal/pause"
)

const (
	// scaleCallers and scaleSize are the load on networks of different sizes.
	scaleCallers = 16
	scaleSize    = 256
	// scaleEntries is at how many peers operations are made, in a network of any size: they connect to all others.
	scaleEntries = 8
	// tcpLimit is the largest network over TCP: the connections of a larger one are more than a process usually may have descriptors for.
	tcpLimit = 128
)

// Scaled is what a network of one size costs.
type Scaled struct {
	System    string `json:"system"`
	Peers     int    `json:"peers"`
	Transport string `json:"transport"`
	// Memory is the bytes that an idle peer makes this process larger by; 0 when it is not known.
	Memory int64 `json:"idle_memory_bytes"`
	// CPU is the part of one processor that an idle peer takes.
	CPU float64 `json:"idle_cpu"`
	// Connections are those open for each peer, on average.
	Connections float64 `json:"connections"`
	// Ready is how long it took until all peers were at work, in seconds.
	Ready float64 `json:"ready_seconds"`
	Put   Figures `json:"put"`
	Get   Figures `json:"get"`
}

// scale measures networks of every size, the smallest first: memory that one of them leaves behind is used by the next.
func (c *Config) scale(ctx context.Context, report *Report) error {
	empty, err := residentMemory()
	if err != nil {
		report.note("the memory of peers is not known: %v", err)
	}
	for _, peers := range slices.Sorted(slices.Values(c.Scale)) {
		c.progress(fmt.Sprintf("moot, %d peers", peers))
		s, err := c.scaleOne(ctx, peers, empty, report)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			report.note("not measured with %d peers, which may be more than this machine can run: %v", peers, err)
		default:
			report.Scale = append(report.Scale, s)
		}
	}
	return nil
}

// scaleOne measures one network. empty is the memory of this process without any.
func (c *Config) scaleOne(ctx context.Context, peers int, empty int64, report *Report) (s Scaled, err error) {
	o := mootOptions{dir: c.Dir, peers: peers, copies: c.Copies, listen: loopback, entries: min(peers, scaleEntries)}
	transport := "TCP"
	if peers > tcpLimit {
		o.listen, transport = loopbackQUIC, "QUIC"
	}
	began := time.Now()
	m, err := openMoot(ctx, o)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s = Scaled{System: mootSynced, Peers: peers, Transport: transport, Ready: time.Since(began).Seconds()}
	if err := c.watchIdle(ctx, m, empty, &s); err != nil {
		return s, err
	}
	b := bench{cluster: m, entries: o.entries, cfg: c}
	if err := b.run(ctx, []int{scaleCallers}, []int{scaleSize}); err != nil {
		return s, err
	}
	for at, r := range b.measured {
		report.noteFailures(fmt.Sprintf("moot, %d peers", peers), at, r)
	}
	s.Put, s.Get = figures(b.measured[point{opPut, scaleSize, scaleCallers}]), figures(b.measured[point{opGet, scaleSize, scaleCallers}])
	return s, nil
}

// watchIdle measures peers that nobody uses.
func (c *Config) watchIdle(ctx context.Context, m *moot, empty int64, s *Scaled) error {
	if err := pause.For(ctx, c.Idle/2); err != nil { // what starting left to do
		return err
	}
	began := time.Now()
	before, err := m.CPU()
	if err != nil {
		return err
	}
	if err := pause.For(ctx, c.Idle); err != nil {
		return err
	}
	after, err := m.CPU()
	if err != nil {
		return err
	}
	s.CPU = (after - before).Seconds() / time.Since(began).Seconds() / float64(s.Peers)
	connections := 0
	for _, p := range m.peers {
		connections += len(p.host.Network().Conns())
	}
	s.Connections = float64(connections) / float64(s.Peers)
	if memory, err := residentMemory(); err == nil && empty > 0 {
		s.Memory = (memory - empty) / int64(s.Peers)
	}
	return nil
}

// residentMemory returns the memory of this process, without what is free to be reused.
func residentMemory() (int64, error) {
	runtime.GC() // once more than FreeOSMemory does: pools keep what they hold for one collection
	debug.FreeOSMemory()
	u, err := measure.UsageOf(os.Getpid())
	return u.Memory, err
}
