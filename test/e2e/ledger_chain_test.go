//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/ledgercheck"
)

// blockReaders is how many blocks of a node are read at a time.
const blockReaders = 4

// audit waits until all nodes have the same last block, and holds all that they have against what the clients were told. Nobody pays any more.
func (n *town) audit() {
	n.t.Helper()
	n.settle()
	began := time.Now()
	chains := make([]*ledgercheck.Chain, len(n.peers))
	var all errgroup.Group
	for i, c := range n.clients {
		all.Go(func() (err error) {
			chains[i], err = n.wholeChain(n.t.Context(), n.peers[i].name, c)
			return err
		})
	}
	check(n.t, all.Wait())
	h := &n.history
	n.t.Logf("%d transfers: %d committed, %d refused, %d unknown, in %d blocks, root %s; read in %s", len(h.Transfers()), h.Count(ledgercheck.Committed), h.Count(ledgercheck.Refused), h.Count(ledgercheck.Unknown),
		chains[0].Height(), chains[0].Root, time.Since(began).Round(time.Millisecond))
	for _, violation := range ledgercheck.Check(h, chains) {
		n.t.Errorf("%v", violation)
	}
}

// settle waits until all nodes are well and have the same last block and state.
func (n *town) settle() {
	n.t.Helper()
	eventually(n.t, ledgerPatience, func() error {
		var first v1.Ledger
		for i, p := range n.peers {
			s, err := n.status(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if s.Syncing || s.Problem != "" {
				return fmt.Errorf("%s is not well: syncing %t, %s", p.name, s.Syncing, s.Problem)
			}
			if i == 0 {
				first = s
			}
			if s.Trust != first.Trust || s.Root != first.Root {
				return fmt.Errorf("%s is at %s with root %s, %s at %s with root %s", p.name, s.Trust, s.Root, n.peers[0].name, first.Trust, first.Root)
			}
		}
		return nil
	})
}

// wholeChain reads all that a node has, at one moment: once more if a block came meanwhile, as with a transfer whose payer did not wait for it.
func (n *town) wholeChain(ctx context.Context, name string, c *client.Client) (*ledgercheck.Chain, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	for {
		before, err := c.Ledger(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the ledger of %s: %w", name, err)
		}
		chain, err := n.chain(ctx, name, c, before)
		if err != nil {
			return nil, err
		}
		after, err := c.Ledger(ctx)
		if err != nil || after.Trust == before.Trust {
			return chain, err
		}
	}
}

// chain reads all that a node has up to its last block, whose status is given.
func (n *town) chain(ctx context.Context, name string, c *client.Client, status v1.Ledger) (*ledgercheck.Chain, error) {
	chain := &ledgercheck.Chain{Node: name, Root: status.Root, Blocks: make([]ledgercheck.Block, status.Height), Balances: make(map[string]uint64)}
	var all errgroup.Group
	all.SetLimit(blockReaders)
	for i := range chain.Blocks {
		all.Go(func() error {
			b, err := c.Block(ctx, int64(i)+1)
			if err == nil {
				chain.Blocks[i], err = blockOf(b)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, fmt.Errorf("read the blocks of %s: %w", name, err)
	}
	return chain, n.balances(ctx, c, chain)
}

// balances reads what a node says that the people have, and how much there is.
func (n *town) balances(ctx context.Context, c *client.Client, chain *ledgercheck.Chain) error {
	for _, p := range append(slices.Clone(n.people), n.bank) {
		account, err := c.Account(ctx, p.id.String())
		if err != nil {
			return fmt.Errorf("read an account at %s: %w", chain.Node, err)
		}
		for _, b := range account.Balances {
			if chain.Balances[account.ID], err = strconv.ParseUint(b.Amount, 10, 64); err != nil || b.Asset != n.asset.String() {
				return fmt.Errorf("%s says that an account has %s %s: %w", chain.Node, b.Amount, b.Asset, err)
			}
		}
	}
	asset, err := c.Asset(ctx, n.asset.String())
	if err == nil {
		chain.Supply, err = strconv.ParseUint(asset.Supply, 10, 64)
	}
	return err
}

// blockOf reads a block as the node tells it.
func blockOf(b v1.Block) (ledgercheck.Block, error) {
	block := ledgercheck.Block{Height: b.Height, Hash: b.Hash}
	for _, t := range b.Transactions {
		one := ledgercheck.Transaction{ID: t.ID, Applied: t.Applied}
		for _, o := range t.Transaction.Operations {
			if o.Amount == "" {
				continue
			}
			amount, err := strconv.ParseUint(o.Amount, 10, 64)
			if err != nil {
				return block, fmt.Errorf("block %d: %w", b.Height, err)
			}
			one.Movements = append(one.Movements, ledgercheck.Movement{From: o.From, To: o.To, Amount: amount})
		}
		block.Transactions = append(block.Transactions, one)
	}
	return block, nil
}
