package node

import (
	"context"
	"slices"
	"time"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/ledger/replica"
)

const (
	// standingInterval is how often a validator looks whether the standing invite is there.
	standingInterval = 2 * time.Second
	// standingTime is for how long it is good: as long as the network.
	standingTime = 100 * 365 * 24 * time.Hour
	// standingReserve is the part of its uses, one in so many, at which the standing invite is replaced by a new one.
	standingReserve = 10
	// standingNote tells people what the invite is.
	standingNote = "who has the members' secret"
)

// keepInvite has the validator's operator keep an invite open for those who have the members' secret, until ctx ends. Each validator does: whichever is first makes it, and that of one whose operator speaks for no validator yet is
// refused by the ledger.
func (n *Node) keepInvite(ctx context.Context) error {
	chain := enrolLedger{n.ledger, n.cfg.Validator.Operator}
	by, invited := operatorOf(chain.operator), admission.KeySetOf(admission.SecretOf(n.cfg.Validator.MembersSecret).Key(n.home.Genesis.ID()))
	tick := time.NewTicker(standingInterval)
	defer tick.Stop()
	for {
		if ops := chain.standingInvite(by.ID(), invited.ID()); len(ops) > 0 && chain.speaks(by.ID()) {
			once, cancel := context.WithTimeout(ctx, voteWindow)
			err := chain.submit(once, ops...)
			cancel()
			if err != nil && ctx.Err() == nil {
				n.cfg.Logger.Debug("the invite for those who have the members' secret was not made", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// standingInvite returns what makes the standing invite, or replaces one that is nearly used up or over; nothing where neither is needed, or the ledger can't be read.
func (l enrolLedger) standingInvite(by, invited ledger.AccountID) (ops []ledger.Operation) {
	open, there, err := l.Invite(invited)
	if err != nil || there && open.Left > open.Uses/standingReserve && open.Until > time.Now().UnixMilli() {
		return nil
	}
	if there {
		ops = append(ops, &ledger.Revoke{By: by, Account: invited})
	}
	return append(ops, &ledger.Invite{By: by, Account: invited, Uses: ledger.MaxUses, Until: time.Now().Add(standingTime).UnixMilli(), Note: standingNote})
}

// speaks reports whether an account is the operator of a validator.
func (l enrolLedger) speaks(account ledger.AccountID) bool {
	validators, err := l.Validators()
	return err == nil && slices.ContainsFunc(validators, func(v replica.Validator) bool { return v.Operator == account })
}
