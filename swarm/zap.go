package swarm

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	golog "github.com/ipfs/go-log/v2"
	"go.uber.org/zap/zapcore"
)

// directZap makes what logs through IPFS's go-log, kad-dht above all, log to h instead of standard error.
func directZap(h slog.Handler) { golog.SetPrimaryCore(zapCore{to: h}) }

// zapCore passes entries of zap on to a slog.Handler.
type zapCore struct {
	to     slog.Handler
	fields []zapcore.Field
}

// Enabled implements zapcore.Core.
func (c zapCore) Enabled(level zapcore.Level) bool {
	return c.to.Enabled(context.Background(), slogLevel(level))
}

// With implements zapcore.Core.
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.to, slices.Concat(c.fields, fields)}
}

// Check implements zapcore.Core.
func (c zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		r.AddAttrs(slog.Any(name, values.Fields[name]))
	}
	return c.to.Handle(context.Background(), r)
}

// Sync implements zapcore.Core.
func (zapCore) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level < zapcore.InfoLevel:
		return slog.LevelDebug
	case level < zapcore.WarnLevel:
		return slog.LevelInfo
	case level < zapcore.ErrorLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}
