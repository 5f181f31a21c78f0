package node

import (
	"context"
	"slices"
	"strings"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func (b backend) Members(context.Context) (v1.Members, error) {
	if b.n.members == nil {
		return v1.Members{}, fault.New(fault.NotFound, "network %q is not for members only: everybody who knows its name, or has its genesis, may enter", b.n.home.Network)
	}
	members, height := b.n.members.book.Members()
	d := v1.Members{Height: height}
	for id, m := range members {
		one := v1.Member{ID: id.String(), Name: m.Name, By: m.By.String(), Self: id == b.n.home.ID}
		if m.Until != 0 {
			one.Until = time.UnixMilli(m.Until).UTC()
		}
		d.Members = append(d.Members, one)
	}
	slices.SortFunc(d.Members, func(x, y v1.Member) int { return strings.Compare(x.ID, y.ID) })
	return d, nil
}

func (b ledgerBackend) Invites(context.Context) (v1.Invites, error) {
	list, err := b.r.Invites()
	if err != nil {
		return v1.Invites{}, err
	}
	var d v1.Invites
	for _, i := range list {
		one := v1.Invite{ID: i.Account.String(), State: v1.InviteOpen, By: i.By.String(), Uses: i.Uses, Left: i.Left, Until: time.UnixMilli(i.Until).UTC(), Note: i.Note}
		switch {
		case i.Left == 0:
			one.State = v1.InviteUsed
		case i.Until <= time.Now().UnixMilli():
			one.State = v1.InviteExpired
		}
		d.Invites = append(d.Invites, one)
	}
	return d, nil
}
