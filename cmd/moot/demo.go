package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	maxDemoPeers = 32
	// demoPatience bounds the wait until all peers of a demo see one another.
	demoPatience = 30 * time.Second
)

func newDemo(a *app) *cobra.Command {
	var peers int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole network on this machine, to try things out",
		Long: `Run several peers in one process, each with a home, ports and an HTTP API of its own on 127.0.0.1, until SIGINT or SIGTERM.
The network has some records, and a ledger on which up to four of the peers vote, with two accounts and a payment between them. Each
peer serves its dashboard at its API's address. Lines on standard input stop a peer, which tells the others that it will be back
("stop 4"), kill one, which tells them nothing ("kill 4"), and start it again ("start 4").
Nothing is left behind.`,
		Example: `  moot demo
  moot demo --peers 8`,
		Args:              wants(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if peers < 1 || peers > maxDemoPeers {
			return fault.New(fault.Invalid, "option --peers: want 1 to %d, got %d", maxDemoPeers, peers)
		}
		dir, err := os.MkdirTemp("", "moot-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		err = a.untilSignal(cmd.Context(), func() { _ = removeDemo(dir) }, func(ctx context.Context) error { return a.demo(ctx, dir, peers) })
		return errors.Join(err, removeDemo(dir))
	}
	cmd.Flags().IntVar(&peers, "peers", 4, "how many peers, 1 to 32")
	return cmd
}

// removeDemo removes the peers' homes, which peers that were cut short may still be writing to.
func removeDemo(dir string) (err error) {
	for range 10 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
	}
	return fmt.Errorf("remove the demo's folder: %w", err)
}

// demo runs a network of peers with their homes in dir until ctx ends.
func (a *app) demo(ctx context.Context, dir string, peers int) error {
	directLibraryLogs(slog.New(slog.DiscardHandler))
	network, err := openDemo(dir, peers)
	if err != nil {
		return fmt.Errorf("start the demo: %w", err)
	}
	parts, running := errgroup.WithContext(ctx)
	parts.Go(func() error { return network.run(running) })
	parts.Go(func() error {
		switch err := network.await(running); {
		case ctx.Err() != nil: // told to stop before it was ready
			return nil
		case err != nil:
			return err
		}
		did, err := network.fill(running)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("fill the network: %w", err)
		}
		if err := a.presentDemo(network, did); err != nil {
			return err
		}
		readInBackground()
		network.obey(abandonable(running, a.stdin), a.notef)
		return nil
	})
	err = parts.Wait()
	if fault.KindOf(err) == fault.Unavailable {
		return advise(fmt.Errorf("run the demo: %w", err), "make sure that the loopback interface is up, or try fewer --peers")
	}
	if err != nil {
		return fmt.Errorf("run the demo: %w", err)
	}
	return nil
}

// presentDemo prints the peers, and commands for another terminal.
func (a *app) presentDemo(network *demoNetwork, did *demoLedger) error {
	nodes, dir := network.nodes(), network.dir
	if a.json {
		var doc struct {
			Peers  []runningNode `json:"peers"`
			Ledger *demoLedger   `json:"ledger"`
		}
		doc.Ledger = did
		for i, n := range nodes {
			doc.Peers = append(doc.Peers, describeNode(n, demoHome(dir, i)))
		}
		return a.printJSON(doc)
	}
	table := newTable(a.stdout)
	for i, n := range nodes {
		fmt.Fprintf(table, "peer %d\t%s\t%s\n", i+1, n.ID(), n.APIURL())
	}
	table.Flush()
	a.printf("\nThe dashboard of peer 1 is at %s, where a tour shows what there is.\n", nodes[0].APIURL())
	one, other := nodes[0], nodes[min(1, len(nodes)-1)]
	last := nodes[len(nodes)-1]
	moot := programName()
	a.printf("\n%s in one network. In another terminal:\n\n", plural(len(nodes), "peer"))
	for _, line := range [][2]string{
		{one.APIURL(), `put greeting "hello from peer 1"`},
		{last.APIURL(), "get greeting"},
		{other.APIURL(), "ls -l"},
		{one.APIURL(), "peers"},
		{one.APIURL(), "ping " + last.ID().String()},
		{last.APIURL(), "subscribe news"},
		{one.APIURL(), `publish news "hello, all"`},
		{other.APIURL(), "shell"},
	} {
		a.printf("  %s --api %s %s\n", moot, line[0], line[1])
	}
	a.printf("\n%s. The keys of both are in the home of peer 1:\n\n", did.summary())
	for _, line := range did.lines(demoHome(dir, 0)) {
		a.printf("  %s %s\n", moot, line)
	}
	a.printf("\nHere, \"stop %[1]d\" stops a peer, \"kill %[1]d\" kills it without a word, and \"start %[1]d\" starts it again.\n", len(nodes))
	a.printf("\nready; Ctrl-C stops it, and nothing is left behind\n")
	return nil
}

// programName returns how another terminal can call this very program: by its name when that finds it, and else by its
// path, which "go run" keeps for as long as the program runs.
func programName() string {
	path, err := os.Executable()
	if err != nil {
		return "moot"
	}
	if found, err := exec.LookPath("moot"); err == nil && sameFile(found, path) {
		return "moot"
	}
	return shellQuote(path)
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// shellQuote quotes text for a POSIX shell where it needs that.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%=", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
