package recordbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/bench/process"
)

// nodesStart bounds the time until all nodes are ready and see one another.
const nodesStart = 30 * time.Second

// nodes are processes of the program itself, used over their HTTP APIs.
type nodes struct {
	dir       string
	processes process.Group
	clients   []*client.Client
}

// openNodes starts the nodes with homes in a temporary folder under dir, which Close removes, and returns when they see one another.
func openNodes(ctx context.Context, dir, program string, peers int) (_ *nodes, err error) {
	n := new(nodes)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.dir, err = os.MkdirTemp(dir, "moot-nodes-"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, nodesStart)
	defer cancel()
	var bootstrap []string
	for i := range peers {
		home := filepath.Join(n.dir, fmt.Sprint(i))
		if err := n.start(ctx, program, home, bootstrap); err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		first, err := n.clients[0].Node(ctx)
		if err != nil {
			return nil, err
		}
		bootstrap = []string{"--bootstrap", first.Addresses[0]}
	}
	for _, c := range n.clients {
		err := n.until(ctx, func() bool {
			seen, err := c.Peers(ctx)
			alive := 1 // itself
			for _, p := range seen {
				if p.State == "alive" && !p.Self {
					alive++
				}
			}
			return err == nil && alive >= peers && c.Ready(ctx) == nil
		})
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

// start starts a node and returns when its API is there.
func (n *nodes) start(ctx context.Context, program, home string, bootstrap []string) error {
	args := append([]string{"--network", "bench", "--open", "--listen", loopback}, bootstrap...)
	url, token, err := n.processes.StartNode(ctx, patience(), program, home, args...)
	if err != nil {
		return err
	}
	c, err := client.New(url, client.Options{Token: token})
	if err != nil {
		return err
	}
	n.clients = append(n.clients, c)
	return n.until(ctx, func() bool { return c.Ready(ctx) == nil })
}

func patience() process.Patience {
	return process.Patience{Poll: settlePoll, Late: fmt.Sprintf("the nodes are not ready after %v", nodesStart)}
}

// until waits for a condition while the processes run.
func (n *nodes) until(ctx context.Context, holds func() bool) error {
	return n.processes.Until(ctx, patience(), holds)
}

func (n *nodes) Put(ctx context.Context, peer int, key string, value []byte) error {
	_, err := n.clients[peer].PutRecord(ctx, key, value, client.PutOptions{})
	return err
}

func (n *nodes) Get(ctx context.Context, peer int, key string) ([]byte, error) {
	record, err := n.clients[peer].GetRecord(ctx, key, client.GetOptions{})
	return record.Value, err
}

func (n *nodes) CPU() (time.Duration, error) { return n.processes.CPU() }

func (n *nodes) Close() error {
	var errs []error
	for _, c := range n.clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, n.processes.Stop(), os.RemoveAll(n.dir))...)
}
