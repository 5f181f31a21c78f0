package swarm

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestZapLogsAreObjects holds that what kad-dht logs comes out as the node's own log does.
func TestZapLogsAreObjects(t *testing.T) {
	var out strings.Builder
	core := zapCore{to: libraryHandler{slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})}}
	l := zap.New(core).Named("dht").With(zap.Int("tries", 3))
	l.Info("quiet")
	l.Error("lost\nit", zap.Error(io.ErrUnexpectedEOF))
	var entry map[string]any
	if err := json.Unmarshal([]byte(out.String()), &entry); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	for name, want := range map[string]any{"level": "DEBUG", "msg": "lost\nit", "logger": "dht", "tries": 3.0, "error": "unexpected EOF"} {
		if entry[name] != want {
			t.Errorf("%s: %v, want %v", name, entry[name], want)
		}
	}
}

func TestLibraryLogsAreDemoted(t *testing.T) {
	for _, c := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelDebug, "level=DEBUG msg=w logger=x\nlevel=DEBUG msg=e logger=x\n"},
		{slog.LevelInfo, ""},
	} {
		var out strings.Builder
		inner := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: c.level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		l := slog.New(libraryHandler{inner}).With("logger", "x")
		l.Debug("d")
		l.Info("i")
		l.Warn("w")
		l.Error("e")
		if out.String() != c.want {
			t.Errorf("at %s: %q, want %q", c.level, out.String(), c.want)
		}
	}
}
