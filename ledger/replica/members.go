package replica

import (
	"bytes"
	"context"
	"errors"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/receipt"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// Members returns all members and former ones after the last block, by the bytes of their peer ids, what they are together, and that block. In a network that is not for members only there are none.
func (r *Replica) Members() (list map[string]ledger.Member, roster ledger.Roster, tip state.Tip, err error) {
	err = r.read(func(v *state.View) error {
		tip = v.Tip
		entries, err := memberEntries(v)
		if err != nil {
			return err
		}
		list, roster, err = ledger.ParseMembers(entries)
		return err
	})
	return list, roster, tip, err
}

// Roster returns what all members are together, which changes with any of them; the zero value where there are none.
func (r *Replica) Roster() (roster ledger.Roster, err error) {
	err = r.read(func(v *state.View) error {
		value, err := v.Get(ledger.RosterKey())
		if err != nil || value == nil {
			return err
		}
		return roster.Unmarshal(value)
	})
	return roster, err
}

func memberEntries(v *state.View) (list []ledger.Change, err error) {
	err = v.Ascend(ledger.Members(), func(key, value []byte) bool {
		list = append(list, ledger.Change{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		return true
	})
	return list, err
}

// Invite is one that was made and not revoked.
type Invite struct {
	Account ledger.AccountID
	ledger.OpenInvite
}

// Invites returns the invites, in the order of their accounts. Some may be used up or have expired.
func (r *Replica) Invites() (list []Invite, err error) {
	err = r.read(func(v *state.View) error {
		var wrong error
		err := v.Ascend(ledger.Invites(), func(key, value []byte) bool {
			var one Invite
			copy(one.Account[:], key[1:])
			wrong = one.Unmarshal(value)
			list = append(list, one)
			return wrong == nil
		})
		return errors.Join(err, wrong)
	})
	return list, err
}

// MembersReceipt returns the proof of who the members are after the last block, to somebody who trusts the genesis. The errors are those of TransactionReceipt.
func (r *Replica) MembersReceipt(ctx context.Context) (*receipt.Receipt, error) {
	var tip state.Tip
	var m receipt.Members
	err := r.read(func(v *state.View) error {
		tip = v.Tip
		entries, err := memberEntries(v)
		if err == nil && len(entries) == 0 {
			err = fault.New(fault.Unavailable, "the ledger knows of no members: it has not begun here, or the network is not for members only")
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			m.Entries = append(m.Entries, receipt.Entry{Key: e.Key, Value: e.Value})
		}
		_, proof, err := v.Prove(ledger.RosterKey())
		if err == nil {
			m.Proof = proof.Append(nil)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	height, err := r.headerOf(ctx, tip, 0)
	if err != nil {
		return nil, err
	}
	return r.receipt(&receipt.Receipt{Members: &m}, 0, height)
}

// Invite returns the invite of an account; false: there is none.
func (r *Replica) Invite(account ledger.AccountID) (invite ledger.OpenInvite, ok bool, err error) {
	err = r.read(func(v *state.View) error {
		value, err := v.Get(ledger.InviteKey(account))
		if err != nil || value == nil {
			return err
		}
		ok = true
		return invite.Unmarshal(value)
	})
	return invite, ok, err
}

// Decide hands in a transaction, waits until it is in a block, and returns what became of it there. Where the state says already what would become of it, it is not handed in. Errors are those of Submit, but for
// those that a code says.
func (r *Replica) Decide(ctx context.Context, data []byte) (ledger.Code, error) {
	t, err := ledger.ParseTransaction(data)
	if err != nil {
		return ledger.Applied, err
	}
	if result, err := r.app.Try(t); err == nil && result.Code != ledger.Applied {
		return result.Code, nil
	}
	s, err := r.Submit(ctx, data)
	if err != nil {
		return ledger.Applied, err
	}
	place, err := s.Wait(ctx)
	return place.Result.Code, err
}
