package main

import (
	"context"
	"fmt"
	"maps"
	"strings"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
)

// teller says in words what transactions do, with the names of the address book and amounts as people write them.
type teller struct {
	names func(ledger.AccountID) string
	// asset asks for an asset; nil: nobody can be asked.
	asset  func(id string) (v1.Asset, error)
	scales map[string]int // -1: not known
}

// teller returns one that asks the node for the scale of each asset, once.
func (u *ledgerUser) teller(ctx context.Context) (*teller, error) {
	names, err := u.folder.Namer()
	if err != nil {
		return nil, err
	}
	return &teller{names: names, asset: func(id string) (v1.Asset, error) { return u.client.Asset(ctx, id) }, scales: make(map[string]int)}, nil
}

// noName is for what is told without an address book.
func noName(ledger.AccountID) string { return "" }

// account writes an account by its name, or else by its id.
func (t *teller) account(id string) string { return accountText(id, t.names) }

func accountText(id string, names func(ledger.AccountID) string) string {
	if account, err := ledger.ParseAccountID(id); err == nil {
		if name := names(account); name != "" {
			return name
		}
	}
	return printable(id)
}

// assetText writes an asset as CODE@NAME where its issuer has a name.
func assetText(id string, names func(ledger.AccountID) string) string {
	code, issuer, ok := strings.Cut(id, "@")
	if !ok {
		return printable(id)
	}
	return printable(code) + "@" + accountText(issuer, names)
}

// amountText writes a number of smallest units as people do.
func amountText(units string, scale uint8) string {
	amount, err := ledger.ParseAmount(units, 0)
	if err != nil {
		return printable(units)
	}
	return amount.Format(scale)
}

// amount writes an amount of an asset. Where the scale is not known, it says that it counts the smallest units.
func (t *teller) amount(units, asset string) string {
	text := assetText(asset, t.names)
	if scale := t.scale(asset); scale >= 0 {
		return amountText(units, uint8(scale)) + " " + text
	}
	return printable(units) + " of the smallest unit of " + text
}

func (t *teller) scale(asset string) int {
	if scale, known := t.scales[asset]; known {
		return scale
	}
	scale := -1
	if t.asset != nil {
		if known, err := t.asset(asset); err == nil && known.Scale <= ledger.MaxScale {
			scale = int(known.Scale)
		}
	}
	t.scales[asset] = scale
	return scale
}

// define notes the scale of an asset that is defined, which operations after it may need before there is such an asset.
func (t *teller) define(o *v1.Operation) { t.scales[o.Asset] = int(min(o.Scale, ledger.MaxScale)) }

// about returns the teller for a transaction: what one that did nothing would have defined says nothing about others.
func (t *teller) about(applied bool) *teller {
	if applied {
		return t
	}
	aside := *t
	aside.scales = maps.Clone(t.scales)
	return &aside
}

// operation says what an operation does.
func (t *teller) operation(o *v1.Operation) string {
	switch o.Kind {
	case ledger.KindDefineAsset.String():
		t.define(o)
		text := fmt.Sprintf("define %s with %s", assetText(o.Asset, t.names), plural(int64(o.Scale), "decimal place"))
		if o.Cap != "" {
			text += ", at most " + amountText(o.Cap, o.Scale)
		}
		return text
	case ledger.KindIssue.String():
		return fmt.Sprintf("issue %s to %s", t.amount(o.Amount, o.Asset), t.account(o.To))
	case ledger.KindTransfer.String():
		return fmt.Sprintf("transfer %s from %s to %s", t.amount(o.Amount, o.Asset), t.account(o.From), t.account(o.To))
	case ledger.KindRetire.String():
		return fmt.Sprintf("retire %s of %s", t.amount(o.Amount, o.Asset), t.account(o.From))
	case ledger.KindAnchor.String():
		text := fmt.Sprintf("anchor %s by %s", printable(o.Digest), t.account(o.By))
		if o.Note != "" {
			text += fmt.Sprintf(" (%s)", printable(o.Note))
		}
		return text
	case ledger.KindSetKeys.String():
		return fmt.Sprintf("give %s the keys %s, of which %d must sign", t.account(o.By), printable(strings.Join(o.Keys, " ")), o.Threshold)
	}
	return t.governance(o)
}

// governance says what the other operations do.
func (t *teller) governance(o *v1.Operation) string {
	switch o.Kind {
	case ledger.KindAdmit.String():
		return fmt.Sprintf("admit %s (%s) by %s", printable(o.Member), orDash(o.Name), t.account(o.By))
	case ledger.KindExpel.String():
		return fmt.Sprintf("expel %s by %s", printable(o.Member), t.account(o.By))
	case ledger.KindPropose.String():
		return fmt.Sprintf("propose %s by %s", t.proposal(o), t.account(o.By))
	case ledger.KindVote.String():
		return fmt.Sprintf("vote for %s by %s", printable(o.Proposal), t.account(o.By))
	}
	return printable(o.Kind)
}

// proposal says what is proposed.
func (t *teller) proposal(o *v1.Operation) string {
	if o.Rules != 0 {
		return fmt.Sprintf("version %d of the rules from block %d", o.Rules, o.Height)
	}
	return fmt.Sprintf("power %s for validator %s, for which %s speaks", printable(o.Power), printable(o.Validator), t.account(o.Operator))
}

// printEntry prints a transaction of a list: where it is, and what it did.
func (a *app) printEntry(t *teller, entry *v1.CommittedTransaction) {
	t = t.about(entry.Applied)
	a.printf("%d  %s  %s\n", entry.Height, expiry(entry.Time), printable(entry.ID))
	for i := range entry.Transaction.Operations {
		a.printf("    %s\n", t.operation(&entry.Transaction.Operations[i]))
	}
	if memo := memoText(&entry.Transaction); memo != "" {
		a.printf("    memo: %s\n", memo)
	}
	if entry.State == v1.TransactionCommitted && !entry.Applied {
		a.printf("    it did nothing: %s\n", failureText(entry))
	}
}

// memoText writes a memo on one line.
func memoText(t *v1.Transaction) string {
	if len(t.MemoBase64) > 0 {
		return fmt.Sprintf("%x", t.MemoBase64)
	}
	return printable(t.Memo)
}
