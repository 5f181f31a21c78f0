package ledgerbench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/bench/process"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

const (
	loopback = "/ip4/127.0.0.1/tcp/0"
	// startTimeout bounds the time until the nodes have made a first block together.
	startTimeout = 2 * time.Minute
	// poll is how often it is looked whether something has come.
	poll = 20 * time.Millisecond
)

// network are validators that run as processes of their own and are used over their HTTP APIs.
type network struct {
	dir     string
	cfg     *Config
	genesis *ledger.Genesis
	nodes   process.Group
	clients []*client.Client
	first   string // an address of the first node
}

// openNetwork starts validators with homes in a temporary folder that close removes, and returns when each keeps the ledger with all others. An account speaks for all of them.
func openNetwork(ctx context.Context, cfg *Config, validators int, operator ledger.AccountID) (_ *network, err error) {
	n := &network{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start %d validators: %w", validators, err), n.close())
		}
	}()
	if n.dir, err = os.MkdirTemp(cfg.Dir, "moot-ledger-"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var list []ledger.GenesisValidator
	for i := range validators {
		key, err := node.ValidatorKey(n.home(i))
		if err != nil {
			return nil, err
		}
		list = append(list, ledger.GenesisValidator{Key: key, Power: 1, Operator: operator})
	}
	if n.genesis, err = node.NewGenesis("bench", list); err != nil {
		return nil, err
	}
	for range validators {
		if err := n.start(ctx); err != nil {
			return nil, err
		}
	}
	return n, n.until(ctx, func() bool {
		for _, c := range n.clients {
			if l, err := c.Ledger(ctx); err != nil || l.Peers < validators-1 || l.Height < 1 || l.Syncing {
				return false
			}
		}
		return true
	})
}

func (n *network) home(i int) string { return filepath.Join(n.dir, fmt.Sprint(i)) }

// start starts one more node, and returns when its API is there.
func (n *network) start(ctx context.Context) error {
	i := len(n.nodes)
	home := n.home(i)
	if _, err := node.JoinHome(home, n.genesis); err != nil {
		return err
	}
	args := []string{"--listen", loopback, "--log-level", "warn"}
	if n.first != "" {
		args = append(args, "--bootstrap", n.first)
	}
	if dir := n.cfg.Profile; dir != "" {
		args = append(args, "--cpu-profile", filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", filepath.Base(n.dir), i)))
	}
	url, token, err := n.nodes.StartNode(ctx, patience(), n.cfg.Program, home, args...)
	if err != nil {
		return err
	}
	// Each caller has a connection, which stays open.
	transport := &http.Transport{MaxIdleConnsPerHost: n.cfg.Callers, MaxIdleConns: n.cfg.Callers, DisableCompression: true}
	c, err := client.New(url, client.Options{Token: token, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return err
	}
	n.clients = append(n.clients, c)
	if i > 0 {
		return nil
	}
	status, err := c.Node(ctx)
	if err != nil {
		return err
	}
	if len(status.Addresses) == 0 {
		return fault.New(fault.Internal, "the first node listens nowhere")
	}
	n.first = status.Addresses[0]
	return nil
}

func patience() process.Patience {
	return process.Patience{Poll: poll, Late: "the nodes have not come so far"}
}

// until waits for a condition while the processes run.
func (n *network) until(ctx context.Context, holds func() bool) error {
	return n.nodes.Until(ctx, patience(), holds)
}

// cpu returns the processor time of the nodes alone.
func (n *network) cpu() (time.Duration, error) {
	u, err := n.nodes.Usage()
	return u.CPU, err
}

// agree waits until all nodes have the last block of the first, and checks that it is the same.
func (n *network) agree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	l, err := n.clients[0].Ledger(ctx)
	if err != nil {
		return err
	}
	hash := ""
	for i, c := range n.clients {
		if err := n.until(ctx, func() bool { other, err := c.Ledger(ctx); return err == nil && other.Height >= l.Height }); err != nil {
			return err
		}
		b, err := c.Block(ctx, l.Height)
		switch {
		case err != nil:
			return err
		case hash == "":
			hash = b.Hash
		case hash != b.Hash:
			return fault.New(fault.Internal, "block %d is %s at node 1 and %s at node %d", l.Height, hash, b.Hash, i+1)
		}
	}
	return nil
}

func (n *network) close() error {
	var errs []error
	for _, c := range n.clients {
		errs = append(errs, c.Close())
	}
	errs = append(errs, n.nodes.Stop())
	if n.dir != "" {
		errs = append(errs, os.RemoveAll(n.dir))
	}
	return errors.Join(errs...)
}
