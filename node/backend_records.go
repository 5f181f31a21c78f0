package node

import (
	"context"
	"encoding/base64"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
)

// cursorText hides in what form a cursor names a key, and makes it safe in URLs.
var cursorText = base64.RawURLEncoding.Strict()

func (b backend) PutRecord(ctx context.Context, key string, value []byte, opts api.PutOptions) (v1.Written, error) {
	o, err := putOptions(opts)
	if err != nil {
		return v1.Written{}, err
	}
	w, err := b.n.store.Put(ctx, key, value, o)
	return written(w), err
}

func (b backend) DeleteRecord(ctx context.Context, key string, opts api.PutOptions) (v1.Written, error) {
	o, err := putOptions(opts)
	if err != nil {
		return v1.Written{}, err
	}
	w, err := b.n.store.Delete(ctx, key, o)
	return written(w), err
}

func (b backend) GetRecord(ctx context.Context, key string, opts api.GetOptions) (api.Record, error) {
	o, err := getOptions(opts)
	if err != nil {
		return api.Record{}, err
	}
	r, err := b.n.store.Get(ctx, key, o)
	if err != nil {
		return api.Record{Session: r.Session.String()}, err
	}
	return api.Record{
		Key: r.Key, Value: r.Value, Version: r.Version.String(), Author: r.Author.String(), Expires: r.Expires.UTC(),
		Copies: v1.Copies{Stored: r.Stored, Wanted: r.Wanted, Configured: r.Copies}, Session: r.Session.String(), Envelope: r.Envelope(),
	}, nil
}

func (b backend) ListRecords(ctx context.Context, opts api.ListOptions) (v1.Page, error) {
	after := opts.After
	if opts.Cursor != "" {
		key, err := cursorText.DecodeString(opts.Cursor)
		if err != nil {
			return v1.Page{}, fault.New(fault.Invalid, "cursor %q: want one that a page before carried", opts.Cursor)
		}
		after = string(key)
	}
	p, err := b.n.store.List(ctx, records.ListOptions{Prefix: opts.Prefix, Cursor: after, Limit: opts.Limit, Local: opts.Local})
	if err != nil {
		return v1.Page{}, err
	}
	page := v1.Page{
		Records: make([]v1.Entry, 0, len(p.Entries)), Cursor: cursorText.EncodeToString([]byte(p.Cursor)), Complete: p.Complete,
	}
	for _, e := range p.Entries {
		page.Records = append(page.Records, v1.Entry{
			Key: e.Key, Version: e.Version.String(), Author: e.Author.String(), Size: e.Size, Expires: e.Expires,
		})
	}
	for _, id := range p.Missing {
		page.Missing = append(page.Missing, id.String())
	}
	return page, nil
}

func (b backend) Provide(ctx context.Context, key string) (v1.Provided, error) {
	w, err := b.n.store.Provide(ctx, key)
	return v1.Provided{Key: key, Expires: w.Expires, Copies: copies(w)}, err
}

func (b backend) Providers(ctx context.Context, key string) (v1.Providers, error) {
	found, err := b.n.store.Providers(ctx, key)
	if err != nil {
		return v1.Providers{}, err
	}
	doc := v1.Providers{Key: key, Providers: make([]v1.Provider, 0, len(found))}
	for _, p := range found {
		doc.Providers = append(doc.Providers, v1.Provider{ID: p.ID.String(), Addresses: addrStrings(p.Addrs), Expires: p.Expires, Foreign: p.Foreign})
	}
	return doc, nil
}

func putOptions(o api.PutOptions) (_ records.PutOptions, err error) {
	opts := records.PutOptions{TTL: o.TTL, If: records.Condition{Absent: o.IfAbsent}}
	if opts.Consistency, err = records.ParseConsistency(o.Consistency); err != nil {
		return opts, err
	}
	if opts.Session, err = records.ParseSession(o.Session); err != nil || o.IfVersion == "" {
		return opts, err
	}
	if o.IfAbsent {
		return opts, fault.New(fault.Invalid, "a write depends on a version or on there being none, not on both")
	}
	opts.If.Version, err = records.ParseVersion(o.IfVersion)
	return opts, err
}

func getOptions(o api.GetOptions) (_ records.GetOptions, err error) {
	var opts records.GetOptions
	if opts.Consistency, err = records.ParseConsistency(o.Consistency); err != nil {
		return opts, err
	}
	opts.Session, err = records.ParseSession(o.Session)
	return opts, err
}

func written(w records.Written) v1.Written {
	return v1.Written{
		Key: w.Key, Version: w.Version.String(), Author: w.Author.String(), Expires: w.Expires.UTC(), Copies: copies(w),
		Session: w.Session.String(),
	}
}

func copies(w records.Written) v1.Copies {
	return v1.Copies{Stored: w.Stored, Wanted: w.Wanted, Configured: w.Copies}
}
