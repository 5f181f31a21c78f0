package client_test

import (
	"context"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// WatchNetwork implements api.Backend.
func (p pulling) WatchNetwork(ctx context.Context, cursor string) (api.NetworkWatch, error) {
	w := &pulledNetwork{events: make(chan v1.NetworkEvent), ended: make(chan struct{})}
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		defer close(w.ended)
		for e, err := range p.NetworkEvents(ctx, cursor) {
			if w.err = err; err != nil {
				return
			}
			select {
			case w.events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case e := <-w.events:
		w.cursor = e.Cursor
		return w, nil
	case <-w.ended:
		return nil, w.err
	}
}

type pulledNetwork struct {
	events chan v1.NetworkEvent
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended is closed
	cursor string
}

func (w *pulledNetwork) Next(ctx context.Context) (v1.NetworkEvent, error) {
	for {
		select {
		case e := <-w.events:
			if w.cursor = e.Cursor; e.Event != v1.NetworkCursor {
				return e, nil
			}
		case <-w.ended:
			return v1.NetworkEvent{}, fault.New(fault.Unavailable, "the watch has ended: %w", w.err)
		case <-ctx.Done():
			return v1.NetworkEvent{}, ctx.Err()
		}
	}
}

func (w *pulledNetwork) Cursor() string { return w.cursor }

func (w *pulledNetwork) Close() error {
	w.cancel()
	<-w.ended
	return nil
}
