package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// What histories are written as.
const (
	formatCSV     = "csv"
	formatJSONL   = "jsonl"
	formatHledger = "hledger"
)

func newLedgerExport(a *app) *cobra.Command {
	format, output := newChoice(formatCSV, formatCSV, formatJSONL, formatHledger), ""
	cmd := a.command("export [ACCOUNT…]", "Write the histories of accounts to a file", wants(0, noLimit), func(ctx context.Context, args []string) error {
		return a.ledgerExport(ctx, args, format.value, output)
	})
	cmd.Long = `Write the histories of accounts, by default of all whose keys are in the home: every transaction up to one block, oldest first, each once.

csv has a line for each operation; what a memo can't be in a line is written as an escape (\n, \u202e, \\), and one that a spreadsheet would take for a formula begins with an apostrophe. jsonl has the transactions as the node
tells them, a line each. hledger is a journal for hledger (https://hledger.org): accounts are accounts:NAME, or accounts:ID where they have no name; what is issued comes from issued:ASSET, and what is retired goes back there. What did nothing, or moved nothing, is a comment.

With --output the file appears once it is complete. Where the node does not keep the blocks since the first, or the ledger goes on from another one, it says so and exits 4.`
	cmd.Example = `  moot ledger export --output ledger.csv
  moot ledger export ann bob --format hledger --output town.journal
  moot ledger export --format jsonl | jq -r .id`
	addChoice(cmd, format, "format", "what to write")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write to (default: standard output)")
	cmd.ValidArgsFunction = a.completeAccounts(noLimit)
	return cmd
}

// histories are what is exported.
type histories struct {
	height   int64 // of the last block
	first    int64 // more than 1: blocks before it are not kept
	heir     bool  // whether the ledger goes on from another one, whose transactions are not here
	accounts []ledger.AccountID
	entries  []v1.CommittedTransaction
}

// historiesSummary is what --json prints of an export.
type historiesSummary struct {
	File         string             `json:"file"`
	Complete     bool               `json:"complete"`
	Accounts     []ledger.AccountID `json:"accounts"`
	Transactions int                `json:"transactions"`
	Height       int64              `json:"height"` // everything up to this block is there
}

func (a *app) ledgerExport(ctx context.Context, names []string, format, output string) error {
	toFile := output != "" && output != "-"
	if a.json && !toFile {
		return fault.New(fault.Invalid, "export: --json prints a summary: give the histories a file with --output")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	h, err := u.histories(ctx, names)
	if err != nil {
		return err
	}
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	out, _, err := a.exportOutput(exportOptions{output: output})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	w := bufio.NewWriter(out)
	switch format {
	case formatJSONL:
		err = writeJSONLines(w, h)
	case formatHledger:
		err = writeJournal(w, h, tell)
	default:
		err = writeCSV(w, h, tell)
	}
	err = errors.Join(err, w.Flush())
	if err = errors.Join(err, out.end(err == nil)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if toFile {
		s := historiesSummary{output, h.complete() == nil, h.accounts, len(h.entries), h.height}
		if err := a.show(s, func() {
			a.printf("exported %s of %s up to block %d\n", plural(len(h.entries), "transaction"), plural(len(h.accounts), "account"), h.height)
		}); err != nil {
			return err
		}
	}
	return h.complete()
}

// complete returns nil when all is there since the beginning, and otherwise what is lacking.
func (h *histories) complete() error {
	switch {
	case h.first > 1:
		return advise(fault.New(fault.Unavailable, "export: incomplete: the node does not keep the blocks before %d", h.first), "ask one that does, with --api")
	case h.heir:
		return fault.New(fault.Unavailable, "export: incomplete: the ledger goes on from another one, and has its balances but not its transactions")
	}
	return nil
}

// histories asks for the histories of the accounts named, or of all whose keys are in the home.
func (u *ledgerUser) histories(ctx context.Context, names []string) (*histories, error) {
	h := new(histories)
	for _, name := range names {
		id, err := u.account("account", name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(h.accounts, id) {
			h.accounts = append(h.accounts, id)
		}
	}
	if len(names) == 0 {
		list, err := u.folder.List()
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, advise(fault.New(fault.NotFound, "there is no key in %s", string(u.folder)), "name the accounts")
		}
		for i := range list {
			h.accounts = append(h.accounts, list[i].ID())
		}
	}
	// What comes into a block meanwhile is left out of all of them.
	now, err := u.client.Ledger(ctx)
	if err != nil {
		return nil, u.app.ledgerFailed("ask for the ledger", "", err)
	}
	h.height = now.Height
	if h.first, err = u.firstBlock(ctx, now.Height); err != nil {
		return nil, err
	}
	if h.heir, err = u.isHeir(ctx); err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, id := range h.accounts {
		if err := u.addHistory(ctx, h, id, seen); err != nil {
			return nil, u.app.ledgerFailed("list the transactions of", id.String(), err)
		}
	}
	slices.SortStableFunc(h.entries, func(x, y v1.CommittedTransaction) int { return int(x.Height - y.Height) })
	return h, u.sortBlocks(ctx, h)
}

// isHeir tells whether the ledger goes on from another one.
func (u *ledgerUser) isHeir(ctx context.Context) (bool, error) {
	g, err := u.genesis(ctx)
	return err == nil && g.Predecessor != nil, err
}

// genesis asks for what the ledger began with.
func (u *ledgerUser) genesis(ctx context.Context) (*ledger.Genesis, error) {
	document, err := u.client.Genesis(ctx)
	if err != nil {
		return nil, u.app.ledgerFailed("ask for the genesis", "", err)
	}
	g, err := ledger.ParseGenesis(document)
	if err != nil {
		return nil, fault.New(fault.Internal, "the node tells a genesis that is none: %w", err)
	}
	return g, nil
}

// predecessors returns the ids of the ledgers that the node's, which has an id of its own, goes on from.
func (u *ledgerUser) predecessors(ctx context.Context, own ledger.Hash) (list []ledger.Hash, err error) {
	g, err := u.genesis(ctx)
	if err != nil {
		return nil, err
	}
	if id := g.ID(); id != own {
		return nil, fault.New(fault.Internal, "the node tells the genesis of the ledger %s, and its ledger is %s", id, own)
	}
	for p := g.Predecessor; p != nil; p = p.Genesis.Predecessor {
		list = append(list, p.Genesis.ID())
	}
	return list, nil
}

// firstBlock returns the lowest block that the node keeps, of height that there are.
func (u *ledgerUser) firstBlock(ctx context.Context, height int64) (int64, error) {
	low, high := int64(1), height+1
	for probe := low; low < high; probe = low + (high-low)/2 { // the first is asked for first: mostly it is there
		_, err := u.client.Block(ctx, probe)
		switch {
		case err == nil:
			high = probe
		case fault.KindOf(err) == fault.NotFound:
			low = probe + 1
		default:
			return 0, u.app.ledgerFailed("ask for", fmt.Sprintf("block %d", probe), err)
		}
	}
	return low, nil
}

// addHistory adds the transactions of an account, oldest first, that are not there yet.
func (u *ledgerUser) addHistory(ctx context.Context, h *histories, id ledger.AccountID, seen map[string]bool) error {
	begin := len(h.entries)
	for cursor := ""; ; {
		page, err := u.client.History(ctx, id.String(), v1.HistoryOptions{Cursor: cursor, Limit: v1.MaxHistory})
		if err != nil {
			return err
		}
		for i := range page.Transactions {
			if t := &page.Transactions[i]; t.Height <= h.height && !seen[t.ID] {
				seen[t.ID] = true
				h.entries = append(h.entries, *t)
			}
		}
		if page.Cursor == "" || len(page.Transactions) == 0 {
			break
		}
		if page.Cursor == cursor {
			return fault.New(fault.Internal, "the node answers the same page again")
		}
		cursor = page.Cursor
	}
	slices.Reverse(h.entries[begin:])
	return nil
}

// sortBlocks puts the transactions of each block into its order, which histories of several accounts don't tell.
func (u *ledgerUser) sortBlocks(ctx context.Context, h *histories) error {
	if len(h.accounts) < 2 {
		return nil
	}
	for i := 0; i < len(h.entries); {
		height, end := h.entries[i].Height, i+1
		for end < len(h.entries) && h.entries[end].Height == height {
			end++
		}
		if end-i > 1 {
			b, err := u.client.Block(ctx, height)
			if err != nil {
				return u.app.ledgerFailed("ask for", fmt.Sprintf("block %d", height), err)
			}
			place := make(map[string]int, len(b.Transactions))
			for n := range b.Transactions {
				place[b.Transactions[n].ID] = n
			}
			slices.SortStableFunc(h.entries[i:end], func(x, y v1.CommittedTransaction) int { return place[x.ID] - place[y.ID] })
		}
		i = end
	}
	return nil
}
