// Node measures real moot processes on this machine: the time from start to ready, and the memory and processor time of idle
// nodes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/test/moottest"
)

const (
	// startTimeout bounds the start of a node.
	startTimeout = 30 * time.Second
	// settle is how long the nodes run before they count as idle.
	settle = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	peers := flag.Int("peers", 5, "nodes in the network that idles")
	starts := flag.Int("starts", 10, "starts that are timed")
	idle := flag.Duration("idle", 30*time.Second, "time for which the nodes are watched")
	flag.Parse()
	if err := run(ctx, max(*peers, 1), max(*starts, 1), *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench/node:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, peers, starts int, idle time.Duration) error {
	dir, err := os.MkdirTemp("", "bench-node-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := moottest.Build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("real processes, TCP and QUIC on loopback; %s\n\n", measure.Conditions())
	table := measure.NewTable("", "p50", "worst")
	if err := timeStarts(ctx, newNode(binary, dir, "starts"), starts, table); err != nil {
		return err
	}
	for _, n := range []int{1, peers} {
		if err := watchIdle(ctx, binary, dir, n, idle, table); err != nil {
			return err
		}
		if peers == 1 {
			break
		}
	}
	return table.Write(os.Stdout)
}

func newNode(binary, dir, name string, args ...string) *moottest.Node {
	return &moottest.Node{Binary: binary, Machine: moottest.Local{}, Home: filepath.Join(dir, name), Args: append([]string{
		"--network", "bench", "--open", "--mdns=false", "--api-listen", "127.0.0.1:0",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1",
	}, args...)}
}

func startReady(ctx context.Context, n *moottest.Node) error {
	if err := n.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return n.WaitReady(ctx)
}

// timeStarts starts a node again and again on one home; the first start makes the home.
func timeStarts(ctx context.Context, n *moottest.Node, starts int, table *measure.Table) error {
	var times []time.Duration
	for range starts {
		err := startReady(ctx, n)
		took := time.Since(n.Started)
		if err := errors.Join(err, n.Stop()); err != nil {
			return err
		}
		times = append(times, took)
	}
	table.Add(fmt.Sprintf("start to ready, of %d", starts), fmt.Sprint(measure.Quantile(times, 0.5).Round(time.Millisecond)),
		fmt.Sprint(measure.Quantile(times, 1).Round(time.Millisecond)))
	return nil
}

// watchIdle measures a network of n nodes that nobody uses.
func watchIdle(ctx context.Context, binary, dir string, n int, idle time.Duration, table *measure.Table) (err error) {
	var nodes []*moottest.Node
	defer func() {
		for _, node := range nodes {
			err = errors.Join(err, node.Stop())
		}
	}()
	var args []string
	for i := range n {
		node := newNode(binary, dir, fmt.Sprintf("idle-%d-%d", n, i), args...)
		if err := startReady(ctx, node); err != nil {
			return err
		}
		nodes = append(nodes, node)
		if i == 0 {
			address, err := firstAddress(ctx, node)
			if err != nil {
				return err
			}
			args = []string{"--bootstrap", address}
		}
	}
	before, err := usageAfter(ctx, nodes, settle)
	if err != nil {
		return err
	}
	after, err := usageAfter(ctx, nodes, idle)
	if err != nil {
		return err
	}
	var memory, cpu []float64
	for i := range nodes {
		memory = append(memory, float64(after[i].Memory)/(1<<20))
		cpu = append(cpu, 100*(after[i].CPU-before[i].CPU).Seconds()/idle.Seconds())
	}
	what := fmt.Sprintf("idle %v, each of %d", idle, n)
	addRow := func(label, format string, values []float64) {
		table.Add(what+", "+label, fmt.Sprintf(format, measure.Quantile(values, 0.5)), fmt.Sprintf(format, measure.Quantile(values, 1)))
	}
	addRow("resident memory", "%.1f MiB", memory)
	addRow("processor", "%.2f %% of a core", cpu)
	return nil
}

// usageAfter waits and returns what each node has used by then.
func usageAfter(ctx context.Context, nodes []*moottest.Node, wait time.Duration) ([]measure.Usage, error) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var used []measure.Usage
	for _, n := range nodes {
		u, err := measure.UsageOf(n.PID())
		if err != nil {
			return nil, err
		}
		used = append(used, u)
	}
	return used, nil
}
