package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/kubernetes"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
)

const (
	// streamPatience is the least time that a command waits for a sign of life in an answer that goes on.
	streamPatience = 20 * time.Second
	// leaveReportInterval is how often progress is printed where it can't be written over.
	leaveReportInterval = 2 * time.Second
	// endPatience bounds the wait for the process of a node that has said that it ends.
	endPatience = 10 * time.Second
)

func newLeave(a *app) *cobra.Command {
	var drain time.Duration
	var ifScaledAway bool
	cmd := &cobra.Command{
		Use: "leave", Short: "Hand over all that the node holds, and end it for good", Args: wants(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return untilTermination(cmd.Context(), func(ctx context.Context) error {
			if ifScaledAway {
				return a.leaveIfScaledAway(ctx, drain)
			}
			return a.leave(ctx, drain)
		})
	}
	cmd.Long = `Make the running node hand every record that it holds over to other peers, tell them that it is gone for good, and end. Its home starts no node any more, unless
"moot run" is given --rejoin.

For a stop after which the node comes back, stop "moot run" (SIGTERM): others wait for it meanwhile.
With --if-scaled-away, for the preStop hook of a StatefulSet's pod, the node leaves only if the pod's number is beyond the replicas that the StatefulSet is to have. In any
doubt it stays, and the exit code is 0. The pod's service account needs the right to get its StatefulSet, and the pod, where HOSTNAME is not its name, MOOT_POD_NAME.

Ctrl-C says how much is left; a second one ends the node at once. Then, and when --drain-timeout is over, the exit code is 4: what was not handed over is on
the node's disk still, and "moot run" on the same home brings it back.`
	cmd.Example = `  moot leave
  moot leave --drain-timeout 1h
  moot leave --if-scaled-away`
	cmd.Flags().BoolVar(&ifScaledAway, "if-scaled-away", false, "leave only if this is a pod that its StatefulSet does not want any more; otherwise do nothing")
	cmd.Flags().DurationVar(&drain, "drain-timeout", v1.DefaultDrainTimeout, "longest time that handing over may take")
	return cmd
}

// leaveIfScaledAway leaves where Kubernetes says that this pod is not wanted any more, and otherwise says why not.
func (a *app) leaveIfScaledAway(ctx context.Context, drain time.Duration) error {
	if err := checkDrain(drain); err != nil {
		return err
	}
	pod, err := kubernetes.Here(a.lookupEnv, a.serviceAccount)
	if err != nil {
		return advise(fmt.Errorf("option --if-scaled-away: %w", err), "leave the option out to leave in any case")
	}
	away, reason := pod.ScaledAway(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if !away {
		return a.show(map[string]any{"left": false, "reason": reason}, func() { a.printf("the node stays: %s\n", printable(reason)) })
	}
	a.notef("%s: the node leaves", printable(reason))
	return a.leave(ctx, drain)
}

func checkDrain(drain time.Duration) error {
	if drain <= 0 || drain > v1.MaxDrainTimeout {
		return fault.New(fault.Invalid, "option --drain-timeout: want more than 0 and at most %s, got %s", v1.MaxDrainTimeout, drain)
	}
	return nil
}

func (a *app) leave(ctx context.Context, drain time.Duration) error {
	if err := checkDrain(drain); err != nil {
		return err
	}
	a.timeout = max(a.timeout, streamPatience)
	c, err := a.client()
	if err != nil {
		return err
	}
	n, err := c.Node(ctx)
	if err != nil {
		return a.askFailed("leave", "", err)
	}
	bar := &leaveBar{app: a}
	done := a.watchInterrupts(ctx, c, bar)
	began := time.Now()
	err = c.Leave(ctx, client.LeaveOptions{DrainTimeout: drain}, bar.report)
	stopped := done()
	bar.finish()
	switch {
	case err != nil && stopped:
		return advise(err, `"moot run" on the same home brings the node and what it holds back`)
	case err != nil:
		return a.askFailed("leave", "", err)
	}
	a.awaitEnd(ctx, c.URL())
	return a.show(map[string]any{"id": n.ID, "left": true, "seconds": time.Since(began).Seconds()}, func() {
		a.printf("%s has left the network %s: everything is handed over\n", printable(n.ID), printable(n.Network.Name))
	})
}

// watchInterrupts says at the first Ctrl-C what is left, and ends the node at the second. The function returned stops that, and tells whether there was a second.
func (a *app) watchInterrupts(ctx context.Context, c *client.Client, bar *leaveBar) func() (stopped bool) {
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, os.Interrupt)
	over := make(chan struct{})
	var watch sync.WaitGroup
	stopped := false
	watch.Go(func() {
		for presses := 0; ; {
			select {
			case <-over:
				return
			case <-caught:
				if presses++; presses == 1 {
					bar.remark("Ctrl-C again ends the node at once, whatever is left")
					continue
				}
				stopped = true
				if err := c.StopLeaving(ctx); err != nil {
					bar.remark("the node did not hear of it: " + oneLine(err.Error()))
				}
			}
		}
	})
	return func() bool {
		signal.Stop(caught)
		close(over)
		watch.Wait()
		return stopped
	}
}

// awaitEnd waits until the node that ran on the home has ended, as far as that can be told.
func (a *app) awaitEnd(ctx context.Context, url string) {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for a.home != "" {
		if running, _, err := node.RunningAPI(a.home); err != nil || running != url {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// leaveBar shows how far a leave has come.
type leaveBar struct {
	app *app

	mu      sync.Mutex
	left    int64     // guarded by mu
	printed time.Time // guarded by mu
	drawn   bool      // guarded by mu; a line is on the terminal that the next one goes over
}

func (b *leaveBar) report(left int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = left
	if b.app.json {
		return
	}
	text := plural(left, "record") + " left to hand over"
	switch {
	case b.app.stderrTerminal:
		fmt.Fprintf(b.app.stderr, "\r\x1b[K%s", text)
		b.drawn = true
	case time.Since(b.printed) >= leaveReportInterval:
		b.app.notef("%s", text)
		b.printed = time.Now()
	}
}

// remark writes a line of its own.
func (b *leaveBar) remark(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
	b.app.notef("%s left to hand over; %s", plural(b.left, "record"), text)
}

func (b *leaveBar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
}

// clear needs mu.
func (b *leaveBar) clear() {
	if b.drawn {
		fmt.Fprint(b.app.stderr, "\r\x1b[K")
		b.drawn = false
	}
}
