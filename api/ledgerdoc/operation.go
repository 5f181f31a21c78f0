package ledgerdoc

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/peer"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// FromOperation returns the document of an operation.
func FromOperation(op ledger.Operation) v1.Operation {
	d := v1.Operation{Kind: op.Kind().String()}
	switch o := op.(type) {
	case *ledger.DefineAsset:
		d.Asset, d.Scale = o.Asset.String(), o.Scale
		if !o.Cap.IsZero() {
			d.Cap = o.Cap.String()
		}
	case *ledger.Issue:
		d.Asset, d.To, d.Amount = o.Asset.String(), o.To.String(), o.Amount.String()
	case *ledger.Transfer:
		d.Asset, d.From, d.To, d.Amount = o.Asset.String(), o.From.String(), o.To.String(), o.Amount.String()
	case *ledger.Retire:
		d.Asset, d.From, d.Amount = o.Asset.String(), o.From.String(), o.Amount.String()
	case *ledger.Anchor:
		d.By, d.Digest, d.Note = o.By.String(), o.Digest.String(), o.Note
	case *ledger.SetKeys:
		d.By, d.Threshold, d.Keys = o.Account.String(), o.KeySet.Threshold, keyTexts(o.KeySet.Keys)
	case *ledger.Admit:
		d.By, d.Member, d.Name = o.By.String(), memberText(o.Member), o.Name
	case *ledger.Expel:
		d.By, d.Member = o.By.String(), memberText(o.Member)
	case *ledger.Propose:
		d = FromProposal(&o.Proposal)
		d.By = o.By.String()
	case *ledger.Vote:
		d.By, d.Proposal = o.By.String(), o.Proposal.String()
	case *ledger.Invite:
		d.By, d.Invite, d.Uses, d.Until, d.Note = o.By.String(), o.Account.String(), o.Uses, strconv.FormatInt(o.Until, 10), o.Note
	case *ledger.Revoke:
		d.By, d.Invite = o.By.String(), o.Account.String()
	case *ledger.ReplaceMember:
		d.Member, d.Successor = memberText(o.Old), memberText(o.New)
	}
	return d
}

// FromProposal returns the document of what is proposed, without who does.
func FromProposal(p *ledger.Proposal) v1.Operation {
	d := v1.Operation{Kind: ledger.KindPropose.String()}
	if s := p.SetPower; s != nil {
		d.Validator, d.Operator, d.Power = s.Validator.String(), s.Operator.String(), strconv.FormatUint(s.Power, 10)
	}
	if r := p.ActivateRules; r != nil {
		d.Rules, d.Height = r.Version, r.Height
	}
	return d
}

// memberText returns a peer id as people see it, and what is none in quotes.
func memberText(member string) string {
	id, err := peer.IDFromBytes([]byte(member))
	if err != nil {
		return strconv.Quote(member)
	}
	return id.String()
}

// reader reads the fields of a document, and keeps the first error.
type reader struct{ err error }

func (r *reader) fail(field string, err error) {
	if r.err == nil && err != nil {
		r.err = fault.New(fault.Invalid, "%s: %w", field, err)
	}
}

func (r *reader) account(field, text string) ledger.AccountID {
	a, err := ledger.ParseAccountID(text)
	r.fail(field, err)
	return a
}

func (r *reader) asset(text string) ledger.AssetID {
	a, err := ledger.ParseAssetID(text)
	r.fail("asset", err)
	return a
}

func (r *reader) amount(field, text string) ledger.Amount {
	a, err := ledger.ParseAmount(text, 0)
	r.fail(field, err)
	return a
}

func (r *reader) hash(field, text string) ledger.Hash {
	h, err := ledger.ParseHash(text)
	r.fail(field, err)
	return h
}

func (r *reader) key(field, text string) (k ledger.PublicKey) {
	r.fail(field, k.UnmarshalText([]byte(text)))
	return k
}

func (r *reader) member(text string) string {
	id, err := peer.Decode(text)
	r.fail("member", err)
	return string(id)
}

// ToOperation reads a document. What its kind has no use for must be absent. Errors are of kind fault.Invalid.
func ToOperation(d *v1.Operation) (ledger.Operation, error) {
	var r reader
	op := r.operation(d)
	if op == nil {
		return nil, fault.New(fault.Invalid, "%q is no kind of operation", d.Kind)
	}
	if r.err != nil {
		return nil, r.err
	}
	if again := FromOperation(op); !same(&again, d) {
		return nil, fault.New(fault.Invalid, "%s: there are fields that mean nothing here, or are written otherwise than they should be", d.Kind)
	}
	return op, nil
}

func (r *reader) operation(d *v1.Operation) ledger.Operation {
	switch d.Kind {
	case ledger.KindDefineAsset.String():
		o := &ledger.DefineAsset{Asset: r.asset(d.Asset), Scale: d.Scale}
		if d.Cap != "" {
			o.Cap = r.amount("cap", d.Cap)
		}
		return o
	case ledger.KindIssue.String():
		return &ledger.Issue{Asset: r.asset(d.Asset), To: r.account("to", d.To), Amount: r.amount("amount", d.Amount)}
	case ledger.KindTransfer.String():
		return &ledger.Transfer{Asset: r.asset(d.Asset), From: r.account("from", d.From), To: r.account("to", d.To), Amount: r.amount("amount", d.Amount)}
	case ledger.KindRetire.String():
		return &ledger.Retire{Asset: r.asset(d.Asset), From: r.account("from", d.From), Amount: r.amount("amount", d.Amount)}
	case ledger.KindAnchor.String():
		return &ledger.Anchor{By: r.account("by", d.By), Digest: r.hash("digest", d.Digest), Note: d.Note}
	case ledger.KindSetKeys.String():
		keys, err := toKeySet(d.Threshold, d.Keys)
		r.fail("keys", err)
		return &ledger.SetKeys{Account: r.account("by", d.By), KeySet: keys}
	case ledger.KindAdmit.String():
		return &ledger.Admit{By: r.account("by", d.By), Member: r.member(d.Member), Name: d.Name}
	case ledger.KindExpel.String():
		return &ledger.Expel{By: r.account("by", d.By), Member: r.member(d.Member)}
	case ledger.KindPropose.String():
		return &ledger.Propose{By: r.account("by", d.By), Proposal: r.proposal(d)}
	case ledger.KindVote.String():
		return &ledger.Vote{By: r.account("by", d.By), Proposal: r.hash("proposal", d.Proposal)}
	case ledger.KindInvite.String():
		until, err := strconv.ParseInt(d.Until, 10, 64)
		r.fail("until", err)
		return &ledger.Invite{By: r.account("by", d.By), Account: r.account("invite", d.Invite), Uses: d.Uses, Until: until, Note: d.Note}
	case ledger.KindRevoke.String():
		return &ledger.Revoke{By: r.account("by", d.By), Account: r.account("invite", d.Invite)}
	case ledger.KindReplaceMember.String():
		return &ledger.ReplaceMember{Old: r.member(d.Member), New: r.member(d.Successor)}
	}
	return nil
}

func (r *reader) proposal(d *v1.Operation) ledger.Proposal {
	if d.Rules != 0 || d.Height != 0 {
		return ledger.Proposal{ActivateRules: &ledger.ActivateRules{Version: d.Rules, Height: d.Height}}
	}
	power, err := strconv.ParseUint(d.Power, 10, 64)
	r.fail("power", err)
	return ledger.Proposal{SetPower: &ledger.SetPower{Validator: r.key("validator", d.Validator), Operator: r.account("operator", d.Operator), Power: power}}
}

// same reports whether two documents are equal.
func same(a, b *v1.Operation) bool {
	x, y := *a, *b
	if !slices.Equal(x.Keys, y.Keys) {
		return false
	}
	x.Keys, y.Keys = nil, nil // nil and none are the same
	return reflect.DeepEqual(x, y)
}
