// Records measures PUT and GET of the record store beside stock kad-dht: the same number of peers in one process over TCP on
// loopback, in the same run. The store is measured as it is, acknowledging what is synced to disk, and without
// syncing, which is how kad-dht's map in memory compares.
//
//	go run ./bench/records -markdown docs/measured.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/records:", err)
		os.Exit(1)
	}
}

// options are what the command line chooses.
type options struct {
	peers    int
	copies   int
	callers  []int
	sizes    []int
	duration time.Duration
	dir      string
	only     string
	markdown string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench/records", flag.ContinueOnError)
	flags.IntVar(&o.peers, "peers", 32, "peers in the process")
	flags.IntVar(&o.copies, "copies", 5, "copies of each record")
	callers := flags.String("callers", "1,16,64", "numbers of concurrent callers")
	sizes := flags.String("sizes", "256,4096", "sizes of values in bytes")
	flags.DurationVar(&o.duration, "duration", 3*time.Second, "time for each measurement")
	flags.StringVar(&o.dir, "dir", "", "folder for the stores; its disk is what is measured (default: the folder for temporary files)")
	flags.StringVar(&o.only, "only", "", "measure only the systems whose name contains this")
	flags.StringVar(&o.markdown, "markdown", "", "also write the report to this file")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err1, err2 error
	o.callers, err1 = numbers(*callers)
	o.sizes, err2 = numbers(*sizes)
	return o, errors.Join(err1, err2)
}

func numbers(list string) ([]int, error) {
	var out []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no list of numbers from 1", list)
		}
		out = append(out, n)
	}
	return out, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	rep := report{options: o}
	for _, s := range systems(o) {
		if !strings.Contains(s.name, o.only) {
			continue
		}
		results, err := measureSystem(ctx, o, s)
		if err != nil {
			return fmt.Errorf("measure %s: %w", s.name, err)
		}
		rep.add(s.name, results)
	}
	var out io.Writer = os.Stdout
	if o.markdown != "" {
		f, err := os.Create(o.markdown)
		if err != nil {
			return err
		}
		defer f.Close()
		out = io.MultiWriter(out, f)
	}
	return rep.write(out)
}

// A system is something that stores records on many peers.
type system struct {
	name string
	open func(ctx context.Context, o options) (cluster, error)
}

// A cluster is a system at work. Peers are numbered from 0.
type cluster interface {
	Put(ctx context.Context, peer int, key string, value []byte) error
	Get(ctx context.Context, peer int, key string) ([]byte, error)
	Close() error
}

func systems(o options) []system {
	return []system{
		{synced, func(ctx context.Context, o options) (cluster, error) { return openMoot(ctx, o, false) }},
		{unsynced, func(ctx context.Context, o options) (cluster, error) { return openMoot(ctx, o, true) }},
		{stock, openKademlia},
	}
}

// Names of the systems.
const (
	synced   = "moot synced"
	unsynced = "moot unsynced"
	stock    = "kad-dht"
)

// A point is what is measured: an operation under a load.
type point struct {
	operation     string
	size, callers int
}

// measureSystem measures one system at every point.
func measureSystem(ctx context.Context, o options, s system) (map[point]measure.Result, error) {
	began := time.Now()
	c, err := s.open(ctx, o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%s: %d peers after %v\n", s.name, o.peers, time.Since(began).Round(time.Millisecond))
	results := map[point]measure.Result{}
	for _, size := range o.sizes {
		if err := measureSize(ctx, o, c, size, results); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	for p, r := range results {
		if r.Failure != nil {
			fmt.Fprintf(os.Stderr, "%s: %s with %d callers: %d of %d failed: %v\n", s.name, p.operation, p.callers, r.Failures, r.Operations, r.Failure)
		}
	}
	return results, c.Close()
}
