package records

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/routing"
)

func TestBacklogTakesRoomThoughTheCallerIsGone(t *testing.T) {
	var b backlogs
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	leave, err := b.enter(gone, "peer", maxBacklogBytes-backlogOverhead)
	if err != nil {
		t.Fatalf("with room: %v", err)
	}
	if _, err := b.enter(gone, "peer", 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("without room: %v, want canceled", err)
	}
	leave()
	leave, err = b.enter(gone, "peer", 1)
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	leave()
}

// What waits for this peer's own disk is bounded like what waits for others.
func TestOwnDiskHasABacklogToo(t *testing.T) {
	s := &Store{self: "self"}
	self := &routing.Member{ID: s.self}
	data := make([]byte, maxBacklogBytes-backlogOverhead)
	began, release := make(chan struct{}), make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		_, err := s.deliver(t.Context(), t.Context(), self, opPut, data, func(context.Context) response {
			close(began)
			<-release
			return response{}
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-began
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.deliver(gone, t.Context(), self, opPut, data[:1], func(context.Context) response {
		t.Error("it was written though the backlog is full")
		return response{}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("without room: %v, want canceled", err)
	}
	close(release)
	writing.Wait()
}
