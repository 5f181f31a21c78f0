package routing

import (
	"context"
	"time"
)

const (
	// joinPatience is how long a node that knows where to find others waits for the first of them before it takes itself for alone: it may be the first of them to start.
	joinPatience = 3 * time.Second
	// joinQuiet is how long nobody must have come to a view with others in it before it is taken for that of the whole network: the first one tells of all the others, who must then answer themselves.
	// In a network that grows all the time it is taken for that after joinPatience.
	joinQuiet = 500 * time.Millisecond
)

// AwaitJoined returns once a node that has just started has met the others: its view holds one that is alive, and nobody has come for joinQuiet. It does not wait for longer than joinPatience for the first, nor
// when expected says that there are no others to meet. With an error of ctx it has not come about.
func AwaitJoined(ctx context.Context, v Viewer, expected func() bool) error {
	timer := time.NewTimer(joinPatience)
	defer timer.Stop()
	for expected() {
		changed := v.Changed()
		if v.View().Count(Alive) > 1 {
			return awaitQuiet(ctx, v)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-changed:
		}
	}
	return ctx.Err()
}

// awaitQuiet returns once nobody has come to the view for joinQuiet.
func awaitQuiet(ctx context.Context, v Viewer) error {
	patience, quiet := time.NewTimer(joinPatience), time.NewTimer(joinQuiet)
	defer patience.Stop()
	defer quiet.Stop()
	for known := 0; ; {
		changed := v.Changed()
		if n := v.View().Count(Alive); n > known {
			known = n
			quiet.Reset(joinQuiet)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return nil
		case <-quiet.C:
			return nil
		case <-changed:
		}
	}
}
