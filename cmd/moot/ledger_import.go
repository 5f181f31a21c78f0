package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/bulk"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/payments"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	// maxList is the most bytes of a list of payments.
	maxList = 256 << 20
	// journalSuffix follows the name of a list in that of its journal.
	journalSuffix = ".moot-import"
)

// paymentOptions are the options of moot ledger import.
type paymentOptions struct {
	file           string
	from, asset    string
	state          string
	retryFailed    bool
	concurrency    int
	validFor       time.Duration
	passphraseFile string
}

func newLedgerImport(a *app) *cobra.Command {
	var o paymentOptions
	cmd := a.command("import FILE --from ACCOUNT", "Pay a list of transfers, each exactly once", wants(1, 1), func(ctx context.Context, args []string) error {
		o.file = args[0]
		return a.ledgerImport(ctx, o)
	})
	cmd.Long = `Pay a list of transfers: a CSV file whose first line names its columns, to,amount,asset,memo,from, in any order. memo may be left out, asset where --asset is given, from where --from is. Each line becomes a
transaction. The whole list is checked first: a name that nothing has, an amount with too many places or an asset that is not there is told with its line, and nothing is sent.

Many are under way at once, in no order among one another. Each transaction is in a file beside the list (FILE` + journalSuffix + `) before it is sent. After a stop, whatever its cause, the same command goes on: no line is paid
twice, none is left out, and of a list that is paid nothing is paid again; also where "moot ledger recover" has made another ledger go on from the one that the first went to: a node that has the old one's
blocks is asked what came into them. So keep that file with the list, and give a new list a new name: a list that was changed is refused.

Lines that fail, for instance for lack of money, are told at the end, and the exit code is 5; with --retry-failed they are tried again.`
	cmd.Example = `  moot ledger import wages.csv --from firm --asset EUR
  moot ledger import wages.csv --from firm --asset EUR --retry-failed
  moot ledger import refunds.csv --from shop --json | jq '.failures[]'`
	a.addAccountOption(cmd, &o.from, "from", "`ACCOUNT` that pays, where the list does not say")
	f := cmd.Flags()
	f.StringVar(&o.asset, "asset", "", "`ASSET` that is paid, where the list does not say")
	a.completeOption(cmd, "asset", a.completeAssets(noLimit))
	f.BoolVar(&o.retryFailed, "retry-failed", false, "try again what failed in an earlier run")
	f.IntVar(&o.concurrency, "concurrency", 256, "transactions under way at once, 1 to 1024")
	f.StringVar(&o.state, "state", "", "`file` that has what was sent (default: beside the list)")
	f.DurationVar(&o.validFor, "valid-for", defaultValidFor, "how long each may wait for a block, at most 1h")
	addAccountPassphrase(cmd, &o.passphraseFile)
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

// payment is a line of the list with what it stands for.
type payment struct {
	line int
	memo string
	op   ledger.Transfer
}

func (a *app) ledgerImport(ctx context.Context, o paymentOptions) error {
	if o.concurrency < 1 || o.concurrency > bulk.MaxConcurrency {
		return fault.New(fault.Invalid, "option --concurrency: want 1 to %d, got %d", bulk.MaxConcurrency, o.concurrency)
	}
	if _, err := newBody(o.validFor, ledger.MaxWindow, "", nil); err != nil {
		return err
	}
	if o.state == "" {
		o.state = o.file + journalSuffix
	}
	data, err := readList(o.file)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	u, err := a.ledgerUser()
	if err != nil {
		return err
	}
	list, err := u.paymentList(ctx, o, data)
	if err != nil {
		return err
	}
	known, err := u.client.Ledger(ctx)
	if err != nil {
		return a.ledgerFailed("ask for the ledger", "", err)
	}
	network, err := ledger.ParseHash(known.Network)
	if err != nil {
		return fault.New(fault.Internal, "the node tells a network that is none: %w", err)
	}
	earlier, err := u.predecessors(ctx, network)
	if err != nil {
		return err
	}
	journal, entries, err := payments.OpenJournal(o.state, payments.Heading{Network: network, List: sha256.Sum256(data), Meaning: meaning(list)}, earlier...)
	if err != nil {
		return journalFailed(o, err)
	}
	if known.Rules == nil && sentElsewhere(entries, network) {
		err := fault.New(fault.Conflict, "payments were sent before another ledger went on from that, and the node can't be asked for what came into its blocks: the node's program is older than this one")
		return errors.Join(advise(err, "install this version at the node, or ask another one, with --api"), journal.Close())
	}
	run := &paymentRun{u: u, o: o, network: network, height: known.Height, list: list, journal: journal, batcher: newBatcher(u.client), entries: entries, began: time.Now()}
	err = run.payAll(ctx)
	return run.finish(err, journal.Close())
}

// sentElsewhere says whether something was sent to another ledger than the present one of which it is not known that it is paid.
func sentElsewhere(entries map[int]payments.Entry, network ledger.Hash) bool {
	for _, e := range entries {
		if e.Network != network && (e.Settled == nil || e.Settled.Failure != "") {
			return true
		}
	}
	return false
}

// journalFailed says why the journal of an import can't be used.
func journalFailed(o paymentOptions, err error) error {
	err = fmt.Errorf("import %s: %s: %w", quoteKey(o.file), quoteKey(o.state), err)
	switch fault.KindOf(err) {
	case fault.Conflict:
		return advise(err, "what was sent for the earlier one is kept there: give another list another name, or this one another --state FILE if all of it is to be paid anew")
	case fault.Invalid:
		return advise(err, "without it nobody can tell what was paid: see the account's history before you pay anything again")
	}
	return advise(err, "name a file that can be written with --state")
}

func readList(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, advise(err, "check the file's name")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxList+1))
	if err == nil && len(data) > maxList {
		err = fault.New(fault.TooLarge, "%s has more than %d bytes: split it", path, maxList)
	}
	return data, err
}

// paymentList reads the list and looks up what is in it. Bad lines are an error, with which nothing is sent.
func (u *ledgerUser) paymentList(ctx context.Context, o paymentOptions, data []byte) ([]payment, error) {
	rows, bad, err := payments.ParseList(data)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", quoteKey(o.file), err)
	}
	l := paymentLookup{u: u, o: o, accounts: make(map[string]found[ledger.AccountID]), assets: make(map[string]found[assetScale])}
	list := make([]payment, 0, len(rows))
	for _, row := range rows {
		p, err := l.payment(ctx, row)
		if l.failed != nil {
			return nil, l.failed
		}
		if err != nil {
			bad = append(bad, payments.BadLine{Line: row.Line, Err: err})
			continue
		}
		list = append(list, p)
	}
	if len(bad) > 0 {
		return nil, u.app.badPayments(o, bad)
	}
	return list, nil
}

func (a *app) badPayments(o paymentOptions, bad []payments.BadLine) error {
	slices.SortStableFunc(bad, func(x, y payments.BadLine) int { return x.Line - y.Line })
	for _, b := range bad[1:min(len(bad), bulk.MaxBadShown)] {
		a.notef("%s:%d: %s", o.file, b.Line, oneLine(b.Err.Error()))
	}
	if more := len(bad) - bulk.MaxBadShown; more > 0 {
		a.notef("and %s more", plural(more, "bad line"))
	}
	what := ""
	if len(bad) > 1 {
		what = fmt.Sprintf(", the first of %d", len(bad))
	}
	return advise(fault.New(fault.Invalid, "import: %s:%d%s: %s", o.file, bad[0].Line, what, bad[0].Err), "nothing was sent: mend the list")
}

// found is what a word of the list stands for, or why it stands for nothing.
type found[T any] struct {
	is  T
	err error
}

type assetScale struct {
	id    ledger.AssetID
	scale uint8
}

// paymentLookup looks up the words of a list, each once.
type paymentLookup struct {
	u        *ledgerUser
	o        paymentOptions
	accounts map[string]found[ledger.AccountID]
	assets   map[string]found[assetScale]
	failed   error // why nothing can be looked up
}

func (l *paymentLookup) account(text string) (ledger.AccountID, error) {
	known, ok := l.accounts[text]
	if !ok {
		known.is, known.err = l.u.folder.Account(text)
		l.accounts[text] = known
	}
	return known.is, known.err
}

func (l *paymentLookup) asset(ctx context.Context, text string) (assetScale, error) {
	known, ok := l.assets[text]
	if ok {
		return known.is, known.err
	}
	if known.is.id, known.err = l.u.asset(text); known.err == nil {
		asset, err := l.u.client.Asset(ctx, known.is.id.String())
		if err != nil && fault.KindOf(err) != fault.NotFound && fault.KindOf(err) != fault.Invalid {
			l.failed = l.u.app.ledgerFailed("ask for the asset", known.is.id.String(), err)
		}
		known.is.scale, known.err = asset.Scale, err
	}
	l.assets[text] = known
	return known.is, known.err
}

func (l *paymentLookup) payment(ctx context.Context, row payments.Row) (payment, error) {
	p := payment{line: row.Line, memo: row.Memo}
	if row.From == "" {
		row.From = l.o.from
	}
	if row.Asset == "" {
		row.Asset = l.o.asset
	}
	switch {
	case row.From == "":
		return p, fault.New(fault.Invalid, "it does not say who pays, nor does --from")
	case row.Asset == "":
		return p, fault.New(fault.Invalid, "it does not say which asset, nor does --asset")
	}
	from, err := l.account(row.From)
	if err != nil {
		return p, fmt.Errorf("from %s: %w", quoteKey(row.From), err)
	}
	to, err := l.account(row.To)
	if err != nil {
		return p, fmt.Errorf("to %s: %w", quoteKey(row.To), err)
	}
	asset, err := l.asset(ctx, row.Asset)
	if err != nil {
		return p, err
	}
	amount, err := ledger.ParseAmount(row.Amount, asset.scale)
	if err == nil && amount.IsZero() {
		err = fault.New(fault.Invalid, "%s is nothing", row.Amount)
	}
	p.op = ledger.Transfer{Asset: asset.id, From: from, To: to, Amount: amount}
	return p, err
}

// meaning is the hash of what a list stands for.
func meaning(list []payment) ledger.Hash {
	h := sha256.New()
	e := json.NewEncoder(h)
	for i := range list {
		p := &list[i]
		// A hash takes what it is given, and texts can be encoded.
		_ = e.Encode([]any{p.line, p.op.From.String(), p.op.To.String(), p.op.Asset.String(), p.op.Amount.String(), p.memo})
	}
	return ledger.Hash(h.Sum(nil))
}

// payers returns the keys of all who pay something that is not paid yet.
func (r *paymentRun) openPayers(ctx context.Context) error {
	r.payers = make(map[ledger.AccountID]payer)
	for i := range r.list {
		p := &r.list[i]
		if e, ok := r.entries[p.line]; ok && e.Settled != nil && (e.Settled.Failure == "" || !r.o.retryFailed) {
			continue
		}
		r.payers[p.op.From] = payer{}
	}
	for _, account := range slices.Collect(maps.Keys(r.payers)) {
		set, err := r.u.keySet(ctx, account)
		if err != nil {
			return err
		}
		keys, err := r.u.openKeys(account, set, r.o.passphraseFile)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		r.payers[account] = payer{set, keys}
	}
	return nil
}
