package main

import (
	"context"
	"log/slog"
	"slices"
)

// jsonHandler writes entries as JSON objects in which no name comes twice, which readers of JSON take in different ways: of attributes with one name it keeps the last one, as libraries
// narrow down what an entry is about, and those with a name that slog has for itself get another.
type jsonHandler struct {
	next  slog.Handler
	attrs []slog.Attr // those given so far, in the present group
	group bool        // within one, slog has no names for itself
}

func (h jsonHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h jsonHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	once := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	once.AddAttrs(h.unique(attrs)...)
	return h.next.Handle(ctx, once)
}

// unique leaves out what comes again later. What is in a group without a name is looked at as if it were outside.
func (h jsonHandler) unique(attrs []slog.Attr) []slog.Attr {
	var flat []slog.Attr
	for _, a := range attrs {
		if a.Key == "" && a.Value.Resolve().Kind() == slog.KindGroup {
			flat = append(flat, a.Value.Resolve().Group()...)
			continue
		}
		flat = append(flat, a)
	}
	list, at := flat[:0], make(map[string]int, len(flat))
	for _, a := range flat {
		if reserved := a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey; reserved && !h.group {
			a.Key += "_"
		}
		if i, ok := at[a.Key]; ok {
			list[i] = a
			continue
		}
		at[a.Key] = len(list)
		list = append(list, a)
	}
	return list
}

func (h jsonHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return jsonHandler{h.next, slices.Concat(h.attrs, attrs), h.group}
}

func (h jsonHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := h.next
	if len(h.attrs) > 0 {
		next = next.WithAttrs(h.unique(h.attrs))
	}
	return jsonHandler{next: next.WithGroup(name), group: true}
}
