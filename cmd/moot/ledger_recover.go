package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/node"
)

func newLedgerRecover(a *app) *cobra.Command {
	cmd := commandGroup("recover", "Go on after a third or more of the voting power is lost for good", nil)
	cmd.Long = `Go on after a third or more of the voting power is lost for good, so that no block is made any more. The survivors found a successor: a ledger that goes on from the last block that was agreed on, with
validators that they choose. Balances, assets, keys, slots and members are the same after as before; what was signed and not in a block yet is to be signed anew. The network stays, and its records go on
undisturbed. Receipts of the old ledger are good with its genesis and with that of the successor.

Nothing here needs a network: every survivor does this at a home whose node does not run.

  1. Each looks at the last block (show). If they differ, those with the higher one pass on what the others lack (export, import): the highest block that was agreed on counts.
  2. Each makes the genesis of the successor with the same validators (found), and all compare its id, by telephone if need be.
  3. When all have the same, each gives that command again with --agreed ID, and runs the node.

Who lost the home enters like everybody else: "moot init --genesis FILE --state FILE", with what found --genesis and state write.`
	cmd.Example = `  moot ledger recover show
  moot ledger recover found --keep KEY1 --keep KEY2
  moot ledger recover found --keep KEY1 --keep KEY2 --agreed ID`
	addCommands(cmd, newRecoverShow(a), newRecoverExport(a), newRecoverImport(a), newRecoverFound(a), newRecoverState(a))
	return cmd
}

// lastBlock is what --json prints of the last block of a ledger.
type lastBlock struct {
	Ledger  ledger.Hash `json:"ledger"`
	Height  int64       `json:"height"`
	Block   ledger.Hash `json:"block"`
	Time    time.Time   `json:"time"`
	State   ledger.Hash `json:"state"`
	Signed  int64       `json:"signed_power"`
	Power   int64       `json:"total_power"`
	Own     string      `json:"own_key,omitempty"`
	Parties []party     `json:"validators"`
}

type party struct {
	Key      ledger.PublicKey `json:"key"`
	Power    uint64           `json:"power"`
	Operator ledger.AccountID `json:"operator"`
}

func describeLast(l *node.LedgerAtRest) lastBlock {
	d := lastBlock{Ledger: l.Genesis.ID(), Height: l.Last.Height, Block: l.Last.Hash, Time: l.Last.Time, State: l.Last.AppHash, Signed: l.Last.Signed, Power: l.Last.Power}
	for _, v := range l.Validators {
		d.Parties = append(d.Parties, party{v.Key, v.Power, v.Operator})
	}
	if l.Own != nil {
		d.Own = l.Own.String()
	}
	return d
}

func (a *app) printLast(d *lastBlock) {
	a.printf("ledger     %s\nblock      %d of %s\nhash       %s\nstate      %s\nsigned by  %d of %d of the power\n", d.Ledger, d.Height, d.Time.Format(time.RFC3339), d.Block, d.State, d.Signed, d.Power)
	table := newTable(a.stdout)
	fmt.Fprintln(table, "\nVALIDATOR\tPOWER\tOPERATOR")
	for _, p := range d.Parties {
		own := ""
		if p.Key.String() == d.Own {
			own = "\tthis home's"
		}
		fmt.Fprintf(table, "%s\t%d\t%s%s\n", p.Key, p.Power, p.Operator, own)
	}
	table.Flush()
}

func newRecoverShow(a *app) *cobra.Command {
	cmd := a.command("show", "Show the last block of the home's ledger", wants(0, 0), func(ctx context.Context, _ []string) error { return a.recoverShow(ctx) })
	cmd.Long = `Show the last block of the ledger of --home, the root of the state after it, and the validators, for survivors to compare. The node must not run.`
	cmd.Example = `  moot ledger recover show --home /var/lib/moot`
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) recoverShow(ctx context.Context) error {
	if err := a.needHome(); err != nil {
		return err
	}
	l, err := node.ReadLedger(ctx, a.home)
	if err != nil {
		return fmt.Errorf("look at the ledger: %w", err)
	}
	d := describeLast(&l)
	return a.show(d, func() { a.printLast(&d) })
}

func newRecoverExport(a *app) *cobra.Command {
	var from int64
	cmd := a.command("export FILE --from HEIGHT", "Write blocks to a file, for survivors who lack them", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.recoverExport(ctx, args[0], from)
	})
	cmd.Long = `Write the blocks of the ledger of --home from a height on to a file, each with the signatures of the validators, for survivors who lack them. HEIGHT is one above the last block that they have. The node must
not run.`
	cmd.Example = `  moot ledger recover export blocks --from 1208`
	cmd.Flags().Int64Var(&from, "from", 0, "`HEIGHT` of the first block")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) recoverExport(ctx context.Context, file string, from int64) error {
	if from < 1 {
		return errMissing("--from", "the height of the first block, one above the last that the others have")
	}
	if err := a.needHome(); err != nil {
		return err
	}
	var count int64
	size, err := writeWhole(file, func(w io.Writer) (err error) {
		count, err = node.ExportBlocks(ctx, a.home, w, from)
		if err == nil && count == 0 {
			err = fault.New(fault.NotFound, "there is no block %d here", from)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("export blocks: %w", err)
	}
	return a.show(map[string]any{"file": file, "blocks": count, "bytes": size}, func() { a.printf("wrote %s, %s, to %s\n", plural(count, "block"), byteSize(size), file) })
}

func newRecoverImport(a *app) *cobra.Command {
	cmd := a.command("import FILE", "Take over blocks of another survivor", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.recoverImport(ctx, args[0])
	})
	cmd.Long = `Take over those blocks of a file that the ledger of --home lacks. Each must follow the one before and be signed by more than two thirds of the voting power; others are refused. The node must not run.`
	cmd.Example = `  moot ledger recover import blocks`
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) recoverImport(ctx context.Context, file string) error {
	if err := a.needHome(); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return advise(fmt.Errorf("import blocks: %w", err), "check the file's name")
	}
	defer f.Close()
	count, l, err := node.ImportBlocks(ctx, a.home, bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("import blocks of %s: %w", quoteKey(file), err)
	}
	d := describeLast(&l)
	return a.show(map[string]any{"blocks": count, "last": d}, func() {
		a.printf("took over %s\n", plural(count, "block"))
		a.printLast(&d)
	})
}

func newRecoverFound(a *app) *cobra.Command {
	var keep []string
	var validators, agreed, genesis string
	cmd := a.command("found (--keep KEY... | --validators FILE) [--agreed ID]", "Found the successor", wants(0, 0), func(ctx context.Context, _ []string) error {
		return a.recoverFound(ctx, keep, validators, agreed, genesis)
	})
	cmd.Long = `Make the genesis of a ledger that goes on from the last block of the ledger of --home, and print its id. Everybody who has the same last block and names the same validators, in any order, gets the same id.
Validators stay with their power and operators when they are named with --keep; --validators FILE adds others: a JSON list of what "moot ledger validators key" prints at each of them. The node must not run.

With --agreed ID, and only if that is the id, the home becomes one of the successor. It votes with the key that it has, which signs nothing for the old ledger any more; the old ledger's data are kept in the
folder "predecessors". Whoever goes on without having agreed founds a ledger of their own: compare first.`
	cmd.Example = `  moot ledger recover found --keep KEY1 --keep KEY2
  moot ledger recover found --keep KEY1 --keep KEY2 --agreed ID --genesis successor.json`
	cmd.Flags().StringArrayVar(&keep, "keep", nil, "public `KEY` of a validator that stays; may be repeated")
	cmd.Flags().StringVar(&validators, "validators", "", "`FILE` with further validators")
	cmd.Flags().StringVar(&agreed, "agreed", "", "`ID` that all have agreed on")
	cmd.Flags().StringVar(&genesis, "genesis", "", "`FILE` to write the genesis document to")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) recoverFound(ctx context.Context, keep []string, validators, agreed, genesis string) error {
	opts, err := a.recoverOptions(ctx, keep, validators, agreed)
	if err != nil {
		return fmt.Errorf("found a successor: %w", err)
	}
	if err := a.needHome(); err != nil {
		return err
	}
	done, err := node.Recover(ctx, a.home, opts)
	if err != nil {
		return fmt.Errorf("found a successor: %w", err)
	}
	if genesis != "" {
		data, err := json.MarshalIndent(done.Genesis, "", "  ")
		if err == nil {
			err = os.WriteFile(genesis, append(data, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the genesis: %w", err)
		}
	}
	return a.show(map[string]any{"id": done.Genesis.ID(), "done": done.Done, "genesis": done.Genesis}, func() { a.printRecovered(&done) })
}

func (a *app) recoverOptions(ctx context.Context, keep []string, validators, agreed string) (opts node.RecoverOptions, err error) {
	if len(keep) == 0 && validators == "" {
		return opts, advise(fault.New(fault.Invalid, "no validator was named"), `say --keep KEY for each that stays; "moot ledger recover show" lists them`)
	}
	for _, text := range keep {
		var key ledger.PublicKey
		if err := key.UnmarshalText([]byte(text)); err != nil {
			return opts, fmt.Errorf("option --keep: %w", err)
		}
		opts.Keep = append(opts.Keep, key)
	}
	if validators != "" {
		if err := a.readDocument(ctx, validators, &opts.Validators); err != nil {
			return opts, err
		}
	}
	if agreed != "" {
		if opts.Agreed, err = ledger.ParseHash(agreed); err != nil {
			return opts, fmt.Errorf("option --agreed: %w", err)
		}
	}
	return opts, nil
}

func (a *app) printRecovered(done *node.Recovered) {
	if done.Last != (consensus.Last{}) {
		a.printf("goes on from  block %d of %s\nhash          %s\nstate         %s\n", done.Last.Height, done.Last.Time.Format(time.RFC3339), done.Last.Hash, done.Last.AppHash)
	}
	for _, v := range done.Genesis.Validators {
		a.printf("validator     %s, power %d, operator %s\n", v.Key, v.Power, v.Operator)
	}
	a.printf("id            %s\n", done.Genesis.ID())
	if 3*done.Kept > 2*done.Power {
		a.notef("note: those who stay have %d of %d of the old power, which is enough to go on without a successor: run their nodes", done.Kept, done.Power)
	}
	if done.Done {
		a.printf("the home is one of that ledger now\nnext          %s\n", a.withHome("moot run"))
		return
	}
	a.printf("nothing was changed: compare the id with the others, and give the command again with --agreed ID\n")
}

func newRecoverState(a *app) *cobra.Command {
	cmd := a.command("state FILE", "Write what others need to enter the successor", wants(1, 1), func(ctx context.Context, args []string) error {
		return a.recoverState(ctx, args[0])
	})
	cmd.Long = `Write the state that the ledger of --home goes on from to a file, which "moot init --genesis FILE --state FILE" takes: for those who have no home of the old ledger. It is checked there against the genesis.`
	cmd.Example = `  moot ledger recover state town.state`
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) recoverState(ctx context.Context, file string) error {
	if err := a.needHome(); err != nil {
		return err
	}
	size, err := writeWhole(file, func(w io.Writer) error { return node.ExportState(ctx, a.home, w) })
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return a.show(map[string]any{"file": file, "bytes": size}, func() { a.printf("wrote %s to %s\n", byteSize(size), file) })
}
