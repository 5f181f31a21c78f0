package main

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestNoNameComesTwiceInAnEntry(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(jsonHandler{next: slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})})
	for _, c := range []struct {
		write func(*slog.Logger)
		want  string
	}{
		{func(l *slog.Logger) { l.Info("plain") }, `{"level":"INFO","msg":"plain"}`},
		{func(l *slog.Logger) { l.With("part", "ledger").With("part", "cometbft", "a", 1).Info("m", "a", 2) }, `{"level":"INFO","msg":"m","part":"cometbft","a":2}`},
		{func(l *slog.Logger) { l.Warn("m", "msg", "other", "level", 7) }, `{"level":"WARN","msg":"m","msg_":"other","level_":7}`},
		{func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("a", 2).Info("m", "a", 3, "msg", "in") }, `{"level":"INFO","msg":"m","a":1,"g":{"a":3,"msg":"in"}}`},
		{func(l *slog.Logger) { l.Info("m", "a", 1, slog.Group("", slog.Int("a", 2))) }, `{"level":"INFO","msg":"m","a":2}`},
	} {
		out.Reset()
		c.write(l)
		if got := out.String(); got != c.want+"\n" {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
