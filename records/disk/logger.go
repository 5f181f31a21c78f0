package disk

import (
	"context"
	"fmt"
	"log/slog"
)

// pebbleLogger turns pebble's log into ours. Pebble expects Fatalf to end the process; here it marks the store as failed.
type pebbleLogger struct{ d *Disk }

// Infof logs what is of use in a search for errors only.
func (l pebbleLogger) Infof(format string, args ...any) {
	if !l.d.logger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	l.d.logger.Debug("pebble", "dir", l.d.dir, "event", fmt.Sprintf(format, args...))
}

// Errorf logs a warning: what matters is returned or makes the store fail.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.d.logger.Warn("pebble", "dir", l.d.dir, "event", fmt.Sprintf(format, args...))
}

// Fatalf marks the store as failed and returns.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	_ = l.d.fail(fmt.Errorf(format, args...))
}
