package ledger_test

import (
	"math/big"

	"github.com/folkmoot/folkmoot/ledger"
)

const week = 7 * 24 * 3600_000

// operator reports whether an account speaks for a validator.
func (r *reference) operator(a ledger.AccountID) bool {
	for _, v := range r.validators {
		if v.Operator == a {
			return true
		}
	}
	return false
}

// referenceMember is a member, or a former one.
type referenceMember struct {
	name         string
	until, since int64
	next         string
}

func (r *reference) admit(o *ledger.Admit) ledger.Code {
	m, known := r.members[o.Member]
	invite, invited := r.invites[o.By]
	switch {
	case r.operator(o.By):
		invited = false
	case !invited:
		return ledger.NoInvite
	case r.now >= invite.until:
		return ledger.InviteExpired
	case invite.used == invite.uses:
		return ledger.InviteUsed
	}
	switch {
	case known && m.until == 0:
		return ledger.MemberExists
	case known && invited:
		return ledger.Expelled
	}
	if invited {
		invite.used++
		put(r, r.invites, o.By, invite)
	}
	put(r, r.members, o.Member, referenceMember{name: o.Name})
	return ledger.Applied
}

func (r *reference) expel(o *ledger.Expel) ledger.Code {
	if !r.operator(o.By) {
		return ledger.NotOperator
	}
	id := o.Member
	for r.members[id].next != "" {
		id = r.members[id].next
	}
	m, known := r.members[id]
	if !known || m.until != 0 {
		return ledger.NoMember
	}
	m.until = r.now
	put(r, r.members, id, m)
	return ledger.Applied
}

// replace moves a name, once a day.
func (r *reference) replace(o *ledger.ReplaceMember) ledger.Code {
	m, known := r.members[o.Old]
	if !known || m.until != 0 {
		return ledger.NoMember
	}
	if m.since != 0 && r.now-m.since < week/7 {
		return ledger.ReplacedLately
	}
	if _, known := r.members[o.New]; known {
		return ledger.MemberExists
	}
	put(r, r.members, o.Old, referenceMember{m.name, r.now, m.since, o.New})
	put(r, r.members, o.New, referenceMember{name: m.name, since: r.now})
	return ledger.Applied
}

type referenceInvite struct {
	uses, used uint32
	until      int64
}

func (r *reference) invite(o *ledger.Invite) ledger.Code {
	if !r.operator(o.By) {
		return ledger.NotOperator
	}
	if _, there := r.invites[o.Account]; there {
		return ledger.InviteExists
	}
	for other, i := range r.invites {
		if i.until <= r.now {
			drop(r, r.invites, other)
		}
	}
	put(r, r.invites, o.Account, referenceInvite{uses: o.Uses, until: o.Until})
	return ledger.Applied
}

func (r *reference) revoke(o *ledger.Revoke) ledger.Code {
	if !r.operator(o.By) {
		return ledger.NotOperator
	}
	if _, there := r.invites[o.Account]; !there {
		return ledger.NoInvite
	}
	drop(r, r.invites, o.Account)
	return ledger.Applied
}

func (r *reference) propose(o *ledger.Propose) ledger.Code {
	if !r.operator(o.By) {
		return ledger.NotOperator
	}
	id := ledger.ProposalID(network, &o.Proposal)
	all, own := 0, 0
	for other, p := range r.proposals {
		if p.until <= r.now {
			drop(r, r.proposals, other)
			continue
		}
		all++
		if p.by == o.By {
			own++
		}
	}
	if r.proposals[id] != nil {
		return ledger.ProposalExists
	}
	if all >= 64 || own >= 8 {
		return ledger.TooManyProposals
	}
	return r.count(id, &referenceProposal{o.Proposal, o.By, r.now + week, map[ledger.AccountID]bool{o.By: true}}, false)
}

func (r *reference) vote(o *ledger.Vote) ledger.Code {
	if !r.operator(o.By) {
		return ledger.NotOperator
	}
	p := r.proposals[o.Proposal]
	if p == nil || p.until <= r.now {
		return ledger.NoProposal
	}
	votes := map[ledger.AccountID]bool{o.By: true}
	for a := range p.votes {
		votes[a] = true
	}
	return r.count(o.Proposal, &referenceProposal{p.what, p.by, p.until, votes}, p.votes[o.By])
}

// count counts fractions of the power, as big rational numbers.
func (r *reference) count(id ledger.Hash, p *referenceProposal, again bool) ledger.Code {
	yes, total := new(big.Rat), new(big.Rat)
	still := map[ledger.AccountID]bool{}
	for _, v := range r.validators {
		power := new(big.Rat).SetInt64(int64(v.Power))
		total.Add(total, power)
		if p.votes[v.Operator] {
			yes.Add(yes, power)
			still[v.Operator] = true
		}
	}
	if yes.Quo(yes, total).Cmp(big.NewRat(2, 3)) <= 0 {
		if again {
			return ledger.Voted
		}
		p.votes = still
		put(r, r.proposals, id, p)
		return ledger.Applied
	}
	drop(r, r.proposals, id)
	if p.what.SetPower != nil {
		return r.power(*p.what.SetPower)
	}
	version := uint32(1)
	if r.rules.Height > 0 && r.rules.Height <= r.height {
		version = r.rules.Version
	}
	if p.what.ActivateRules.Height <= r.height || p.what.ActivateRules.Version <= version {
		return ledger.LateRules
	}
	before := r.rules
	r.rules = *p.what.ActivateRules
	r.undo = append(r.undo, func() { r.rules = before })
	return ledger.Applied
}

func (r *reference) power(o ledger.SetPower) ledger.Code {
	_, there := r.validators[o.Validator]
	total := new(big.Int).SetUint64(o.Power)
	for key, v := range r.validators {
		if key != o.Validator {
			total.Add(total, new(big.Int).SetUint64(v.Power))
		}
	}
	switch {
	case o.Power == 0 && !there:
		return ledger.NoValidator
	case total.Sign() == 0:
		return ledger.LastValidator
	case o.Power == 0:
		drop(r, r.validators, o.Validator)
		return ledger.Applied
	case !there && len(r.validators) == 256:
		return ledger.TooManyValidators
	case total.Cmp(new(big.Int).Lsh(big.NewInt(1), 40)) > 0:
		return ledger.TooMuchPower
	}
	put(r, r.validators, o.Validator, o)
	return ledger.Applied
}

func (r *reference) misbehaved(key ledger.PublicKey) {
	if len(r.validators) > 1 {
		delete(r.validators, key)
	}
}
