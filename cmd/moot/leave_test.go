package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/apitest"
)

func TestLeave(t *testing.T) {
	b := newBench(t)
	b.backend.SetLeave(nil, 1200, 0)
	got := b.moot("leave")
	if got.code != exitDone || got.stdout != apitest.Self+" has left the network test: everything is handed over\n" ||
		!strings.HasPrefix(got.err, "1,200 records left to hand over\n") || !b.backend.Left() {
		t.Errorf("%+v", got)
	}
	if got := b.must("leave", "--json"); !strings.Contains(got, `"left": true`) {
		t.Error(got)
	}
	b.backend.SetLeave(nil, 1200, 7)
	got = b.moot("leave", "--drain-timeout", "1s", "--json")
	if got.code != exitIncomplete || got.stdout != "" || !strings.Contains(got.err, "7 records are not handed over") {
		t.Errorf("%+v", got)
	}
}

// TestSecondInterruptEndsALeave presses Ctrl-C until the node was told to stop handing over.
func TestSecondInterruptEndsALeave(t *testing.T) {
	b := newBench(t)
	b.backend.SetLeave(make(chan struct{}), 1200, 7)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	leaving, stopped, pressed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.backend.Intercept(func(_ context.Context, method string) error {
		switch method {
		case "Leave":
			close(leaving)
		case "StopLeaving":
			close(stopped)
			<-pressed // so that no signal comes once nobody waits for it
		}
		return nil
	})
	go func() {
		defer close(pressed)
		<-leaving
		for {
			if err := self.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			select {
			case <-stopped:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	got := b.moot("leave")
	if got.code != exitIncomplete || !strings.Contains(got.err, "Ctrl-C again ends the node at once") || !strings.Contains(got.err, "7 records are not handed over") ||
		!strings.Contains(got.err, `"moot run" on the same home`) {
		t.Errorf("%+v", got)
	}
}
