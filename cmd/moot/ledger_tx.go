package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/settings"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// maxTransactionFile is the most bytes of a transaction's document.
const maxTransactionFile = 1 << 20

func newLedgerTx(a *app) *cobra.Command {
	var proof receiptOptions
	cmd := a.command("tx ID", "Show a transaction, and make one that several sign", nil, func(ctx context.Context, args []string) error {
		return a.transaction(ctx, args[0], proof)
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && len(args[0]) != 64 {
			return notATransaction(cmd, args[0])
		}
		return wants(1, 1)(cmd, args)
	}
	cmd.Long = `Show a transaction that is in a block, with what became of it. With --receipt the proof of that is written to standard output instead, which "moot ledger verify" checks anywhere, without a node.

The commands under it make a transaction that several sign, in a file that goes from one to the next.`
	cmd.Example = `  moot ledger tx ID
  moot ledger tx ID --receipt > receipt.json
  moot ledger tx new swap.json --transfer "10 EUR@bank ann bob" --transfer "3 GOLD@mint bob ann"`
	proof.add(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	addCommands(cmd, newTxNew(a), newTxShow(a), newTxSign(a), newTxSubmit(a))
	return cmd
}

func notATransaction(cmd *cobra.Command, text string) error {
	err := fault.New(fault.Invalid, "%s is not the id of a transaction: want 64 hexadecimal digits", quoteKey(text))
	if near := settings.Nearest(text, []string{"new", "show", "sign", "submit"}); near != "" {
		return advise(err, "did you mean %s %s?", cmd.CommandPath(), near)
	}
	return advise(err, "usage: %s", cmd.UseLine())
}

// receiptOptions are those of commands that write a receipt.
type receiptOptions struct {
	wanted bool
	since  int
}

func (r *receiptOptions) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.wanted, "receipt", false, "write the proof to standard output")
	cmd.Flags().IntVar(&r.since, "since", 0, "make it for somebody who trusts the block of this `HEIGHT` (default: the genesis)")
}

func (r *receiptOptions) check() error {
	switch {
	case r.since < 0:
		return fault.New(fault.Invalid, "option --since: %d is negative", r.since)
	case r.since > 0 && !r.wanted:
		return fault.New(fault.Invalid, "option --since is for a receipt: say --receipt too")
	}
	return nil
}

func (a *app) transaction(ctx context.Context, text string, proof receiptOptions) error {
	if err := proof.check(); err != nil {
		return err
	}
	id, err := ledger.ParseHash(text)
	if err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	if proof.wanted {
		receipt, err := u.client.TransactionReceipt(ctx, id.String(), int64(proof.since))
		if err != nil {
			return a.ledgerFailed("prove", id.String(), err)
		}
		return a.writeDocument(receipt)
	}
	found, err := u.client.Transaction(ctx, id.String())
	if err != nil {
		err = a.ledgerFailed("show", id.String(), err)
		if fault.KindOf(err) == fault.NotFound {
			return advise(err, "it may still come into one until the time that it is valid for is over")
		}
		return err
	}
	tell, err := u.teller(ctx)
	if err != nil {
		return err
	}
	return a.show(found, func() { a.printEntry(tell, &found) })
}

// writeDocument writes a document of the node to stdout as it is.
func (a *app) writeDocument(data []byte) error {
	if !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	if _, err := a.stdout.Write(data); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// transactionFile is a transaction in a file that goes from signer to signer.
type transactionFile struct {
	path    string
	network ledger.Hash
	*ledger.Transaction
}

// openTransaction reads a transaction file for somebody with accounts, and perhaps a node.
func (a *app) openTransaction(ctx context.Context, path string) (*ledgerUser, *transactionFile, error) {
	u, err := a.ledgerUser()
	if err != nil {
		return nil, nil, err
	}
	f, err := a.readTransaction(ctx, path)
	return u, f, err
}

func (a *app) readTransaction(ctx context.Context, path string) (*transactionFile, error) {
	data, err := a.readInput(ctx, path, maxTransactionFile)
	if err != nil {
		return nil, fmt.Errorf("read the transaction: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var doc v1.Transaction
	if err := d.Decode(&doc); err != nil {
		return nil, fault.New(fault.Invalid, "read the transaction: %s is not one: %w", path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "read the transaction: something follows it in %s", path)
	}
	network, t, err := ledgerdoc.ToTransaction(&doc)
	if err != nil {
		return nil, fmt.Errorf("read the transaction %s: %w", path, err)
	}
	if err := checkSignatures(network, t); err != nil {
		return nil, fmt.Errorf("read the transaction %s: %w", path, err)
	}
	return &transactionFile{path, network, t}, nil
}

// checkSignatures checks those that are there: that others are missing is no error.
func checkSignatures(network ledger.Hash, t *ledger.Transaction) error {
	for i := range t.Authorizations {
		for _, s := range t.Authorizations[i].Signatures {
			if a := &t.Authorizations[i]; int(s.Key) >= len(a.KeySet.Keys) {
				return fault.New(fault.Invalid, "%s: a signature is by key %d, and it has %d", a.Account, s.Key, len(a.KeySet.Keys))
			}
		}
	}
	return ledger.VerifySignatures(network, []*ledger.Transaction{t})[0]
}

// encode returns the document of the file.
func (f *transactionFile) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(ledgerdoc.FromTransaction(f.network, f.Transaction))
	return b.Bytes(), err
}

// missing returns the accounts that have not signed, or not with enough keys.
func (f *transactionFile) missing() []ledger.AccountID {
	missing := []ledger.AccountID{}
	for _, account := range f.Signers() {
		if a := f.authorization(account); a == nil || len(a.Signatures) < int(a.KeySet.Threshold) {
			missing = append(missing, account)
		}
	}
	return missing
}

// authorization returns that of an account, nil where there is none.
func (f *transactionFile) authorization(account ledger.AccountID) *ledger.Authorization {
	for i := range f.Authorizations {
		if f.Authorizations[i].Account == account && len(f.Authorizations[i].Signatures) > 0 {
			return &f.Authorizations[i]
		}
	}
	return nil
}
