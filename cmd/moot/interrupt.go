package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
)

// stopSignals returns the signals that stop a command. A process whose terminal may go away without it (nohup)
// ignores SIGHUP already, and keeps ignoring it.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// stoppedBy returns a context that ends, with an interruption as its cause, at the first of signals. Later ones are handed to again, which may be nil.
// The function returned must be called.
func stoppedBy(ctx context.Context, signals []os.Signal, again func(os.Signal)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, signals...)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for stopping := false; ; stopping = true {
			select {
			case <-done:
				return
			case s := <-caught:
				if !stopping {
					cancel(interruption{s})
				} else if again != nil {
					again(s)
				}
			}
		}
	})
	return ctx, func() {
		signal.Stop(caught)
		close(done)
		watch.Wait()
		cancel(nil)
	}
}

// untilSignal calls run with a context that ends at the first signal to stop; its error is then an interruption. At the next SIGINT the process exits at
// once, after lastly, which may be nil.
func (a *app) untilSignal(ctx context.Context, lastly func(), run func(context.Context) error) error {
	return runStoppably(ctx, stopSignals(), func(s os.Signal) {
		if s != os.Interrupt {
			return
		}
		if lastly != nil {
			lastly()
		}
		os.Exit(exitCode(interruption{s}))
	}, run)
}

// untilInterrupt calls run with a context that ends at a SIGINT; its error is then an interruption.
func untilInterrupt(ctx context.Context, run func(context.Context) error) error {
	return runStoppably(ctx, []os.Signal{os.Interrupt}, nil, run)
}

// untilTermination is untilInterrupt for every other signal to stop; SIGINT does nothing meanwhile.
func untilTermination(ctx context.Context, run func(context.Context) error) error {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt)
	defer signal.Stop(ignored)
	return runStoppably(ctx, slices.DeleteFunc(stopSignals(), func(s os.Signal) bool { return s == os.Interrupt }), nil, run)
}

func runStoppably(ctx context.Context, signals []os.Signal, again func(os.Signal), run func(context.Context) error) error {
	ctx, stop := stoppedBy(ctx, signals, again)
	err := run(ctx)
	stop()
	by, ok := errors.AsType[interruption](context.Cause(ctx))
	if !ok || !errors.Is(err, context.Canceled) && !errors.Is(err, by) {
		return err
	}
	if advice, ok := errors.AsType[advised](err); ok {
		return advised{by, advice.next}
	}
	return by
}
