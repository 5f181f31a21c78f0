package swarm

import (
	"log/slog"
	"strings"
	"testing"
)

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
