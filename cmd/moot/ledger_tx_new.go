package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/ledgerdoc"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// defaultFileValidFor and defaultSlotValidFor are how long a transaction of several signers is valid for, without and with a slot.
	defaultFileValidFor = time.Hour
	defaultSlotValidFor = 72 * time.Hour
)

// What operations of moot ledger tx new are called.
const (
	opTransfer  = "transfer"
	opIssue     = "issue"
	opRetire    = "retire"
	opOperation = "operation"
)

// wantedOperation is an operation as an option gives it.
type wantedOperation struct{ kind, text string }

// operationOption is the value of an option that adds to a list which several options share, so that operations stay in the order in which they were given: each sees what those before it did.
type operationOption struct {
	kind string
	list *[]wantedOperation
}

// String returns "": there is no default.
func (o *operationOption) String() string { return "" }

// Type names the type in help texts.
func (o *operationOption) Type() string { return "operation" }

// Set adds an operation.
func (o *operationOption) Set(text string) error {
	*o.list = append(*o.list, wantedOperation{o.kind, text})
	return nil
}

// txOptions are the options of moot ledger tx new.
type txOptions struct {
	file       string
	operations []wantedOperation
	slot, memo string
	validFor   time.Duration
}

func newTxNew(a *app) *cobra.Command {
	var o txOptions
	cmd := a.command("new FILE", "Make a transaction file that several sign", wants(1, 1), func(ctx context.Context, args []string) error {
		o.file = args[0]
		return a.txNew(ctx, o)
	})
	cmd.Long = `Make a transaction of several operations, all of which happen or none, in a file that goes from one signer to the next: each looks at it with "tx show" and signs with "tx sign"; whoever has it last hands it
in with "tx submit". Operations are carried out in the order in which they are given.

It is valid for an hour at most. With --slot it may wait for 90 days: an account has 16 slots, 0 to 15, and what was signed for a slot can be called back by using the slot for something else first.
--operation takes any operation as the document that "tx show --json" shows, with ids instead of names and amounts in the smallest unit.`
	cmd.Example = `  moot ledger tx new swap.json --transfer "10 EUR@bank ann bob" --transfer "3 GOLD@mint bob ann"
  moot ledger tx new rent.json --transfer "700 EUR firm ann" --slot firm:0 --valid-for 240h --memo "rent, May"`
	f := cmd.Flags()
	f.Var(&operationOption{opTransfer, &o.operations}, "transfer", "`\"AMOUNT ASSET FROM TO\"` to transfer")
	f.Var(&operationOption{opIssue, &o.operations}, "issue", "`\"AMOUNT ASSET TO\"` to issue")
	f.Var(&operationOption{opRetire, &o.operations}, "retire", "`\"AMOUNT ASSET FROM\"` to retire")
	f.Var(&operationOption{opOperation, &o.operations}, "operation", "any operation, as `JSON`")
	f.StringVar(&o.slot, "slot", "", "`ACCOUNT:NUMBER` of the slot that it uses")
	f.StringVar(&o.memo, "memo", "", "`TEXT` for people, up to 128 bytes that everybody can read")
	f.DurationVar(&o.validFor, "valid-for", 0, "how long it may wait for a block (default: 1h, with a slot 72h)")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func (a *app) txNew(ctx context.Context, o txOptions) error {
	if len(o.operations) == 0 {
		return fault.New(fault.Invalid, "a transaction of no operations: say --transfer, --issue, --retire or --operation")
	}
	if o.file == "-" {
		return fault.New(fault.Invalid, "the transaction must have a file of its own, as others sign there")
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	ops := make([]ledger.Operation, len(o.operations))
	for i, wanted := range o.operations {
		if ops[i], err = u.operation(ctx, wanted); err != nil {
			return fmt.Errorf("option --%s %q: %w", wanted.kind, wanted.text, err)
		}
	}
	t, err := u.newTransaction(ctx, o, ops)
	if err != nil {
		return err
	}
	network, err := u.network(ctx)
	if err != nil {
		return err
	}
	file := &transactionFile{o.file, network, t}
	data, err := file.encode()
	if err == nil {
		err = atomicfile.Create(o.file, data, 0o644)
	}
	if errors.Is(err, fs.ErrExist) {
		return advise(fault.New(fault.Conflict, "%s is there already", o.file), "name a new file")
	}
	if err != nil {
		return fmt.Errorf("write the transaction: %w", err)
	}
	return u.showFile(ctx, file)
}

// newTransaction makes the transaction without signatures.
func (u *ledgerUser) newTransaction(ctx context.Context, o txOptions, ops []ledger.Operation) (*ledger.Transaction, error) {
	validFor, most := o.validFor, ledger.MaxWindow
	if o.slot != "" {
		most = ledger.MaxSlotWindow
	}
	if validFor == 0 && o.slot != "" {
		validFor = defaultSlotValidFor
	} else if validFor == 0 {
		validFor = defaultFileValidFor
	}
	body, err := newBody(validFor, most, o.memo, ops)
	if err != nil {
		return nil, err
	}
	if o.slot != "" {
		if body.Slot, err = u.slot(ctx, o.slot); err != nil {
			return nil, fmt.Errorf("option --slot: %w", err)
		}
	}
	return &ledger.Transaction{Body: body}, body.Validate()
}

// slot returns the slot that ACCOUNT:NUMBER names, as often used as the node tells.
func (u *ledgerUser) slot(ctx context.Context, text string) (*ledger.Slot, error) {
	name, digits, ok := strings.Cut(text, ":")
	number, err := strconv.ParseUint(digits, 10, 8)
	if !ok || err != nil || number >= ledger.MaxSlots {
		return nil, fault.New(fault.Invalid, "%q is no slot: want ACCOUNT:NUMBER with a number of 0 to %d", text, ledger.MaxSlots-1)
	}
	account, err := u.account("account", name)
	if err != nil {
		return nil, err
	}
	known, err := u.client.Account(ctx, account.String())
	if err != nil {
		return nil, u.app.ledgerFailed("ask for the account", account.String(), err)
	}
	slot := &ledger.Slot{Account: account, Number: uint8(number)}
	if int(number) < len(known.Slots) {
		slot.Sequence = known.Slots[number]
	}
	return slot, nil
}

// operation reads an operation as an option gives it.
func (u *ledgerUser) operation(ctx context.Context, wanted wantedOperation) (ledger.Operation, error) {
	if wanted.kind == opOperation {
		return parseOperation(wanted.text)
	}
	forms := map[string]string{opTransfer: "AMOUNT ASSET FROM TO", opIssue: "AMOUNT ASSET TO", opRetire: "AMOUNT ASSET FROM"}
	words := strings.Fields(wanted.text)
	if len(words) != len(strings.Fields(forms[wanted.kind])) {
		return nil, fault.New(fault.Invalid, "want %q", forms[wanted.kind])
	}
	asset, err := u.asset(words[1])
	if err != nil {
		return nil, err
	}
	parties := make([]ledger.AccountID, len(words)-2)
	for i := range parties {
		if parties[i], err = u.account("account", words[2+i]); err != nil {
			return nil, err
		}
	}
	amount, err := u.amount(ctx, words[0], asset)
	if err != nil {
		return nil, err
	}
	switch wanted.kind {
	case opIssue:
		return &ledger.Issue{Asset: asset, To: parties[0], Amount: amount}, nil
	case opRetire:
		return &ledger.Retire{Asset: asset, From: parties[0], Amount: amount}, nil
	}
	return &ledger.Transfer{Asset: asset, From: parties[0], To: parties[1], Amount: amount}, nil
}

func parseOperation(text string) (ledger.Operation, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var doc v1.Operation
	if err := d.Decode(&doc); err != nil {
		return nil, fault.New(fault.Invalid, "it is no document of an operation: %w", err)
	}
	if d.More() {
		return nil, fault.New(fault.Invalid, "something follows the operation")
	}
	return ledgerdoc.ToOperation(&doc)
}
