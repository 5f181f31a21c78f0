package records

import (
	"context"
	"errors"
	"testing"
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
