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
		if _, there, err := chain.Invite(invited.ID()); err == nil && !there && chain.speaks(by.ID()) {
			op := &ledger.Invite{By: by.ID(), Account: invited.ID(), Uses: ledger.MaxUses, Until: time.Now().Add(standingTime).UnixMilli(), Note: standingNote}
			once, cancel := context.WithTimeout(ctx, voteWindow)
			err := chain.Submit(once, op)
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

// speaks reports whether an account is the operator of a validator.
func (l enrolLedger) speaks(account ledger.AccountID) bool {
	validators, err := l.Validators()
	return err == nil && slices.ContainsFunc(validators, func(v replica.Validator) bool { return v.Operator == account })
}
