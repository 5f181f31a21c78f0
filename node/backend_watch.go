package node

import (
	"context"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/records"
)

func (b backend) Watch(ctx context.Context, opts api.WatchOptions) (api.Watch, error) {
	w, err := b.n.store.Watch(ctx, records.WatchOptions(opts))
	if err != nil {
		return nil, err
	}
	return watch{w, opts.Values}, nil
}

// watch shows a records.Watcher to the HTTP API.
type watch struct {
	*records.Watcher
	values bool
}

func (w watch) Next(ctx context.Context) (v1.Event, error) {
	e, err := w.Watcher.Next(ctx)
	if err != nil {
		return v1.Event{}, err
	}
	switch e.Kind {
	case records.Lost:
		return v1.Event{Event: v1.EventLost, Detail: e.Reason}, nil
	case records.Incomplete:
		doc := v1.Event{Event: v1.EventIncomplete}
		for _, id := range e.Missing {
			doc.Missing = append(doc.Missing, id.String())
		}
		return doc, nil
	case records.Complete:
		return v1.Event{Event: v1.EventComplete}, nil
	}
	r := &e.Record
	doc := v1.Event{
		Event: v1.EventChange, Key: r.Key, Version: r.Version.String(), Author: r.Author.String(), Deleted: r.Deleted, Size: e.Size, Expires: r.Expires,
	}
	if w.values && !r.Deleted {
		doc.SetValue(r.Value)
	}
	return doc, nil
}
