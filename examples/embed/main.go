// Command embed runs a node inside a program of its own: it founds a network with a ledger, puts and gets a record, watches others, and pays.
//
// With --home it goes on with the node of that folder. Exit codes are those of moot.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/swarm"
)

// patience bounds the whole run.
const patience = time.Minute

func main() {
	home := flag.String("home", "", "folder of the node; empty: one that is removed at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := run(ctx, *home, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
	}
	os.Exit(fault.ExitCode(err))
}

// run runs a node for as long as use needs it.
func run(ctx context.Context, home string, out io.Writer) (err error) {
	if home == "" {
		if home, err = os.MkdirTemp("", "embed"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	}
	operator, err := newAccount()
	if err != nil {
		return err
	}
	if err := found(home, operator); err != nil {
		return fmt.Errorf("found the network: %w", err)
	}
	// Any free port. Others are found by Bootstrap, DNS or MDNS, none of which is set: this node stays alone.
	n, err := node.New(node.Config{Home: home, Listen: swarm.DefaultListen(0)})
	if err != nil {
		return fmt.Errorf("make the node: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // the node outlives ctx until it is told to stop, so that it ends in order
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	select {
	case <-n.Ready():
		err = use(ctx, n, out)
	case err := <-ended:
		return fmt.Errorf("run the node: %w", err)
	case <-ctx.Done():
		err = fmt.Errorf("wait for the node: %w", ctx.Err())
	}
	stop()
	return errors.Join(err, <-ended)
}

// found makes a home the only validator of a network of its own, unless it has a node already.
func found(home string, operator account) error {
	if _, err := node.ReadHome(home); fault.KindOf(err) != fault.NotFound {
		return err
	}
	key, err := node.ValidatorKey(home)
	if err != nil {
		return err
	}
	genesis, err := node.NewGenesis("example", []ledger.GenesisValidator{{Key: key, Power: 1, Operator: operator.id}})
	if err != nil {
		return err
	}
	_, err = node.JoinHome(home, genesis)
	return err
}

// use is what the program does with its node.
func use(ctx context.Context, n *node.Node, out io.Writer) error {
	if err := keep(ctx, n.Records(), out); err != nil {
		return err
	}
	if err := watch(ctx, n.Records(), out); err != nil {
		return err
	}
	return pay(ctx, n.Ledger(), out)
}
