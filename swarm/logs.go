package swarm

import (
	"context"
	"log/slog"
	"os"

	"github.com/libp2p/go-libp2p/gologshim"
)

// quicBufferWarning is the variable by which quic-go is told not to write to the standard logger that UDP buffers are small.
const quicBufferWarning = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"

// DirectLibraryLogs makes libp2p and what belongs to it log to l instead of standard error. Its warnings and errors, most of which are about
// what other peers do, appear at level Debug, the rest not at all. libp2p keeps its loggers in globals: this is for a program's main function, before it makes the first
// host.
func DirectLibraryLogs(l *slog.Logger) {
	gologshim.SetDefaultHandler(libraryHandler{l.Handler()})
	directZap(libraryHandler{l.Handler()})
	if os.Getenv(quicBufferWarning) == "" {
		os.Setenv(quicBufferWarning, "true")
	}
}

// libraryHandler passes warnings and errors on, at level Debug.
type libraryHandler struct{ next slog.Handler }

func (h libraryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.next.Enabled(ctx, slog.LevelDebug)
}

func (h libraryHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.next.Handle(ctx, r)
}

func (h libraryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryHandler{h.next.WithAttrs(attrs)}
}

func (h libraryHandler) WithGroup(name string) slog.Handler {
	return libraryHandler{h.next.WithGroup(name)}
}
