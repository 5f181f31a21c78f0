package bulk

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// maxAttempts is how often one record is sent before the import gives up: with the pauses between, about 13 s in which nothing answers.
	maxAttempts = 8
	firstPause  = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// Retry calls try until it succeeds, fails for good, or was called maxAttempts times. Only fault.Unavailable may pass by
// itself. The pauses double, each a half more or less so that the records held up do not all come back at once.
func Retry(ctx context.Context, try func(context.Context) error) error {
	wait := firstPause
	for attempt := 1; ; attempt++ {
		err := try(ctx)
		if err == nil || ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable || attempt == maxAttempts {
			return err
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		wait = min(2*wait, longestWait)
	}
}
