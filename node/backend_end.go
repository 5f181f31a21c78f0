package node

import (
	"context"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func (b backend) Holders(ctx context.Context, key string) (v1.Holding, error) {
	h, err := b.n.store.Holders(ctx, key)
	if err != nil {
		return v1.Holding{}, err
	}
	doc := v1.Holding{Key: h.Key, Wanted: h.Wanted, Copies: h.Copies, Quorum: h.Quorum, Holders: make([]v1.Holder, 0, len(h.Holders))}
	for _, s := range h.Holders {
		holder := v1.Holder{
			ID: s.ID.String(), Zone: s.Zone, State: s.Member.String(), Wanted: s.Holder, Answered: s.Answered, Level: s.Level.String(), Found: s.Found,
		}
		if s.Found {
			holder.Version, holder.Since, holder.Size, holder.Deleted = s.Version.String(), s.Since.UTC(), s.Size, s.Deleted
		}
		doc.Holders = append(doc.Holders, holder)
	}
	return doc, nil
}

func (b backend) Standing(ctx context.Context) (v1.Standing, error) {
	s, err := b.n.store.Standing(ctx)
	if err != nil {
		return v1.Standing{}, err
	}
	doc := v1.Standing{Full: s.Full, Below: s.Below, Unreachable: s.Unreachable, Complete: s.Complete}
	for _, id := range s.Missing {
		doc.Missing = append(doc.Missing, id.String())
	}
	return doc, nil
}

func (b backend) Leave(ctx context.Context, opts api.LeaveOptions, progress func(int64)) error {
	if opts.DrainTimeout < 0 {
		return fault.New(fault.Invalid, "drain timeout %s is negative", opts.DrainTimeout)
	}
	return b.n.Leave(ctx, opts.DrainTimeout, progress)
}

func (b backend) StopLeaving(context.Context) error { return b.n.StopLeaving() }
