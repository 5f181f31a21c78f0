package main

import (
	"log/slog"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"

	"github.com/folkmoot/folkmoot/swarm"
)

// logger returns what a node logs to.
func (a *app) logger(o runOptions) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	opts := &slog.HandlerOptions{Level: levels[o.logLevel.value]}
	if o.logFormat.value == "json" {
		return slog.New(jsonHandler{next: slog.NewJSONHandler(a.stderr, opts)})
	}
	return slog.New(slog.NewTextHandler(a.stderr, opts))
}

// useLog has remarks and the last error go to the log where that is JSON, so that each line of stderr is one object.
func (a *app) useLog(o runOptions) {
	if o.logFormat.value == "json" {
		a.log = a.logger(o)
	}
}

// directLibraryLogs makes the libraries that log to globals log to l, at level Debug.
func directLibraryLogs(l *slog.Logger) {
	swarm.DirectLibraryLogs(l)
	slog.SetLogLoggerLevel(slog.LevelDebug) // of what is written through package log
	slog.SetDefault(l)
	otel.SetLogger(logr.FromSlogHandler(l.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { l.Debug("OpenTelemetry", "error", err) }))
}
