package ledger

import (
	"slices"
	"time"
)

const (
	// MaxProposals is the most proposals that are open at once, MaxProposalsEach the most of one operator.
	MaxProposals     = 64
	MaxProposalsEach = 8
	// ProposalLife is how long a proposal is open, in block time.
	ProposalLife = 7 * 24 * time.Hour
)

// ProposalID names a proposal in a network by what it says: the same can be proposed again only when it is not open any more.
func ProposalID(network Hash, p *Proposal) Hash {
	return hashOf(domainProposal, network[:], appendProposal(nil, p))
}

// validator is one with power.
type validator struct {
	key PublicKey
	Validator
}

// validators returns those with power, in the order of their keys. The list is kept until one changes: anybody may have a block ask for it once for each of its transactions.
func (b *Block) validators() ([]validator, error) {
	if b.powers != nil {
		return b.powers, nil
	}
	entries, err := b.state.list(Validators())
	if err != nil {
		return nil, err
	}
	list := make([]validator, len(entries))
	for i, e := range entries {
		if len(e.Key) != 1+len(list[i].key) {
			return nil, errEntry("validator")
		}
		copy(list[i].key[:], e.Key[1:])
		if err := list[i].Unmarshal(e.Value); err != nil {
			return nil, err
		}
	}
	b.powers = list
	return list, nil
}

// setValidator puts a validator's entry into the state; nil removes it.
func (b *Block) setValidator(key PublicKey, value []byte) {
	b.state.set(ValidatorKey(key), value)
	b.powers, b.moved = nil, true
}

// operates is Applied for an account that speaks for a validator.
func (b *Block) operates(account AccountID) (Code, error) {
	validators, err := b.validators()
	if err != nil || !slices.ContainsFunc(validators, func(v validator) bool { return v.Operator == account }) {
		return NotOperator, err
	}
	return Applied, nil
}

func (b *Block) propose(o *Propose) (Code, error) {
	if code, err := b.operates(o.By); code != Applied || err != nil {
		return code, err
	}
	id := ProposalID(b.network, &o.Proposal)
	open, own, err := b.openProposals(o.By)
	if err != nil {
		return NoProposal, err
	}
	if value, err := b.state.get(ProposalKey(id)); err != nil || value != nil {
		return ProposalExists, err
	}
	if open >= MaxProposals || own >= MaxProposalsEach {
		return TooManyProposals, nil
	}
	return b.tally(id, &OpenProposal{o.Proposal, o.By, b.time + ProposalLife.Milliseconds(), []AccountID{o.By}}, false)
}

// openProposals removes proposals whose time is over, and returns how many are left, and how many of these are of an operator.
func (b *Block) openProposals(by AccountID) (open, own int, err error) {
	entries, err := b.state.list(Proposals())
	if err != nil {
		return 0, 0, err
	}
	for _, e := range entries {
		var p OpenProposal
		if err := p.Unmarshal(e.Value); err != nil {
			return 0, 0, err
		}
		if p.Until <= b.time {
			b.state.set(e.Key, nil)
			continue
		}
		open++
		if p.By == by {
			own++
		}
	}
	return open, own, nil
}

func (b *Block) vote(o *Vote) (Code, error) {
	if code, err := b.operates(o.By); code != Applied || err != nil {
		return code, err
	}
	value, err := b.state.get(ProposalKey(o.Proposal))
	if err != nil || value == nil {
		return NoProposal, err
	}
	var p OpenProposal
	if err := p.Unmarshal(value); err != nil {
		return NoProposal, err
	}
	if p.Until <= b.time {
		return NoProposal, nil
	}
	voted := hasAccount(p.Votes, o.By)
	p.Votes = insertAccount(p.Votes, o.By)
	return b.tally(o.Proposal, &p, voted)
}

// tally puts a proposal into force if those who are for it have more than two thirds of the power now, and keeps it open otherwise. Who is for it and has no power any more is forgotten, so that there are
// never more than MaxValidators. A vote of one who voted before changes nothing, but is counted again: since others lost their power, those who are for it may have become enough.
func (b *Block) tally(id Hash, p *OpenProposal, voted bool) (Code, error) {
	validators, err := b.validators()
	if err != nil {
		return NoProposal, err
	}
	var yes, total uint64
	var votes []AccountID
	for _, v := range validators {
		total += v.Power
		if hasAccount(p.Votes, v.Operator) {
			yes += v.Power
			votes = insertAccount(votes, v.Operator)
		}
	}
	p.Votes = votes
	if 3*yes <= 2*total {
		if voted {
			return Voted, nil
		}
		b.state.set(ProposalKey(id), p.Marshal())
		return Applied, nil
	}
	b.state.set(ProposalKey(id), nil)
	if p.Proposal.SetPower != nil {
		return b.setPower(p.Proposal.SetPower, validators)
	}
	return b.activate(p.Proposal.ActivateRules)
}

func (b *Block) setPower(o *SetPower, validators []validator) (Code, error) {
	others, power, there := 0, uint64(0), false
	for _, v := range validators {
		if v.key == o.Validator {
			there = true
			continue
		}
		others++
		power += v.Power
	}
	switch {
	case o.Power == 0 && !there:
		return NoValidator, nil
	case o.Power == 0 && others == 0:
		return LastValidator, nil
	case o.Power == 0:
		b.setValidator(o.Validator, nil)
		return Applied, nil
	case others >= MaxValidators:
		return TooManyValidators, nil
	case power+o.Power > MaxPower:
		return TooMuchPower, nil
	}
	v := Validator{o.Power, o.Operator}
	b.setValidator(o.Validator, v.Marshal())
	return Applied, nil
}

func (b *Block) activate(o *ActivateRules) (Code, error) {
	var rules Rules
	value, err := b.state.get(RulesKey())
	if err == nil {
		err = rules.Unmarshal(value)
	}
	if err != nil {
		return LateRules, err
	}
	active := rules.At(b.height)
	if o.Height <= b.height || o.Version <= active {
		return LateRules, nil
	}
	rules = Rules{active, o.Version, o.Height}
	b.state.set(RulesKey(), rules.Marshal())
	return Applied, nil
}
