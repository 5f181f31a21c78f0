package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/libs/service"
)

// consensusFailure is what CometBFT logs when its consensus routine has panicked and is about to end.
const consensusFailure = "CONSENSUS FAILURE!!!"

// logger takes CometBFT's log. Most of it is about what is none of an operator's business, peers that come and go above all; errors become
// warnings where they may matter, and debugging messages where they are about peers.
type logger struct {
	to *slog.Logger
	// failed is told when consensus has ended with an error.
	failed func(reason any)
	// peer says that all that is logged is about one peer.
	peer bool
}

// peerKeys are the keys of messages about a peer.
var peerKeys = [...]string{"peer", "peer_id", "src", "protocol", "channel"}

var _ cmtlog.Logger = logger{}

// Debug logs nothing: CometBFT has several such messages for each one that it sends.
func (logger) Debug(string, ...any) {}

// Info logs a debugging message.
func (l logger) Info(msg string, keyvals ...any) { l.log(slog.LevelDebug, msg, keyvals) }

// Warn logs a debugging message.
func (l logger) Warn(msg string, keyvals ...any) { l.log(slog.LevelDebug, msg, keyvals) }

// Error logs a warning, or a debugging message about a peer.
func (l logger) Error(msg string, keyvals ...any) {
	if msg == consensusFailure {
		l.failed(value(keyvals, "err"))
	}
	level := slog.LevelWarn
	if l.peer || aboutPeer(keyvals) || errors.Is(toError(value(keyvals, "err")), service.ErrAlreadyStopped) {
		level = slog.LevelDebug
	}
	l.log(level, msg, keyvals)
}

// With returns a logger that adds to each message.
func (l logger) With(keyvals ...any) cmtlog.Logger {
	return logger{to: l.to.With(keyvals...), failed: l.failed, peer: l.peer || aboutPeer(keyvals)}
}

func aboutPeer(keyvals []any) bool {
	for _, key := range peerKeys {
		if value(keyvals, key) != nil {
			return true
		}
	}
	return false
}

// toError returns v if it is an error.
func toError(v any) error {
	err, _ := v.(error)
	return err
}

func (l logger) log(level slog.Level, msg string, keyvals []any) {
	if l.to.Enabled(context.Background(), level) {
		for i, v := range keyvals {
			if s, ok := v.(fmt.Stringer); ok {
				keyvals[i] = s.String()
			}
		}
		l.to.Log(context.Background(), level, msg, keyvals...)
	}
}

// value returns the value of a key, or nil.
func value(keyvals []any, key string) any {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == key {
			return keyvals[i+1]
		}
	}
	return nil
}
