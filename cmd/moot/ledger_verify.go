package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/light"
	"github.com/folkmoot/folkmoot/ledger/receipt"
)

func newLedgerVerify(a *app) *cobra.Command {
	var genesis, trust string
	cmd := a.command("verify FILE (--genesis FILE | --trust HEIGHT:HASH)", "Check a receipt, without a node", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.verify(ctx, args[0], genesis, trust)
	})
	cmd.Long = `Check a receipt, and print what it proves: that a transaction was in a block and what became of it, that a record had been written by then, or what an account had of an asset. No node is asked.

It proves that to somebody who trusts the network's genesis document (--genesis), or that one block is of the network (--trust, as "moot ledger status" tells it), and that more than two thirds of the
voting power never sign for a second history. Where the receipt proves nothing, the exit code is 1, and the error says why.`
	cmd.Example = `  moot ledger verify receipt.json --genesis genesis.json
  moot ledger verify receipt.json --trust 1207:5e1f…`
	cmd.Flags().StringVar(&genesis, "genesis", "", "`FILE` with the genesis document that is trusted")
	cmd.Flags().StringVar(&trust, "trust", "", "`HEIGHT:HASH` of the block that is trusted")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) verify(ctx context.Context, file, genesis, trust string) error {
	root, err := a.root(ctx, genesis, trust)
	if err != nil {
		return err
	}
	data, err := a.readInput(ctx, file, receipt.MaxSize)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	r, err := receipt.Parse(data)
	if err != nil {
		return errProvesNothing(file, err)
	}
	s, err := r.Verify(root)
	if err != nil {
		return errProvesNothing(file, err)
	}
	doc := verified(&s)
	return a.show(doc, func() { a.printProven(&doc, root) })
}

// errProvesNothing is the error of a receipt that is wrong. It is no wrong usage, whatever the kind of err.
func errProvesNothing(file string, err error) error {
	return fault.As(fault.Internal, fmt.Errorf("%s proves nothing: %w", file, err))
}

// root reads what is trusted.
func (a *app) root(ctx context.Context, genesis, trust string) (root light.Root, err error) {
	if (genesis == "") == (trust == "") {
		return root, fault.New(fault.Invalid, "verify: what is trusted must be said: --genesis FILE or --trust HEIGHT:HASH")
	}
	if trust != "" {
		return parseTrust("--trust", trust)
	}
	if genesis == "-" {
		return root, fault.New(fault.Invalid, "option --genesis: want a file")
	}
	data, err := a.readInput(ctx, genesis, ledger.MaxGenesis)
	if err == nil {
		root.Genesis, err = ledger.ParseGenesis(data)
	}
	if err != nil {
		return root, fmt.Errorf("option --genesis: %w", err)
	}
	return root, nil
}

// parseTrust reads a block that is trusted, as an option has it.
func parseTrust(option, text string) (root light.Root, err error) {
	height, hash, _ := strings.Cut(text, ":")
	root.Height, err = strconv.ParseInt(height, 10, 64)
	if err == nil {
		root.Hash, err = ledger.ParseHash(hash)
	}
	if err != nil || root.Height < 1 {
		return root, advise(fault.New(fault.Invalid, "option %s: %s is no HEIGHT:HASH of a block", option, quoteKey(text)), `"moot ledger status" tells one`)
	}
	return root, nil
}

// proven is what --json prints of a receipt that is good.
type proven struct {
	Network ledger.Hash `json:"network"`
	// Of a transaction:
	Transaction *v1.CommittedTransaction `json:"transaction,omitempty"`
	// Of a record that it anchored:
	Record *v1.Record `json:"record,omitempty"`
	// Of a balance:
	Account string `json:"account,omitempty"`
	Asset   string `json:"asset,omitempty"`
	Amount  string `json:"amount,omitempty"` // in the smallest unit

	Height int64     `json:"height"`
	Time   time.Time `json:"time"`
	Header struct {
		Height int64       `json:"height"`
		Hash   ledger.Hash `json:"hash"`
		Signed int64       `json:"signed_power"`
		Power  int64       `json:"total_power"`
	} `json:"header"`
}

func verified(s *receipt.Statement) proven {
	p := proven{Network: s.Network, Height: s.Height, Time: s.Time}
	p.Header.Height, p.Header.Hash, p.Header.Signed, p.Header.Power = s.Header.Height, s.Header.Hash, s.Header.Signed, s.Header.Power
	if s.Transaction == nil {
		p.Account, p.Asset, p.Amount = s.Account.String(), s.Asset.String(), s.Amount.String()
		return p
	}
	p.Transaction = &v1.CommittedTransaction{
		TransactionStatus: v1.TransactionStatus{ID: s.Result.ID.String(), State: v1.TransactionCommitted, Height: s.Height, Time: s.Time, Applied: s.Result.Code == ledger.Applied},
		Transaction:       ledgerdoc.FromTransaction(s.Network, &ledger.Transaction{Body: *s.Transaction}),
	}
	if r := s.Record; r != nil {
		p.Record = &v1.Record{Key: r.Key, Version: r.Version.String(), Author: r.Author.String(), Expires: r.Expires}
		p.Record.SetValue(r.Value)
	}
	if !p.Transaction.Applied {
		p.Transaction.Failure, p.Transaction.Operation = s.Result.Code.String(), int(s.Result.Operation)+1
	}
	return p
}

// printProven says what is proven, and to whom. Names are left out: what is proven is about ids.
func (a *app) printProven(p *proven, root light.Root) {
	tell := &teller{names: noName, scales: make(map[string]int)}
	if p.Record != nil {
		a.printf("proven: the record %s of version %s, with %s,\nwas signed by %s and anchored in block %d, %s\n", printable(p.Record.Key), p.Record.Version, plural(len(p.Record.Bytes()), "byte"), p.Record.Author, p.Height, expiry(p.Time))
	}
	if p.Transaction != nil {
		a.printf("proven: this transaction was in block %d, and %s\n", p.Height, map[bool]string{true: "did what it says", false: "did nothing"}[p.Transaction.Applied])
		a.printEntry(tell, p.Transaction)
	} else {
		a.printf("proven: %s\nhad %s\nafter block %d, before %s\n", p.Account, tell.amount(p.Amount, p.Asset), p.Height, expiry(p.Time))
	}
	trusted := fmt.Sprintf("block %d", root.Height)
	if root.Genesis != nil {
		trusted = fmt.Sprintf("the genesis of %s", printable(root.Genesis.Network))
	}
	a.printf("to whoever trusts %s, in the network %s:\n%d of %d of the voting power signed block %d, %s\n", trusted, p.Network, p.Header.Signed, p.Header.Power, p.Header.Height, p.Header.Hash)
}
