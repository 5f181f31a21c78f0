package load

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/sim/history"
)

const (
	// verifiers is how many reads Verify makes at once.
	verifiers = 16
	// readsPerKey is through how many targets Verify reads a key; those written over and over it reads through all.
	readsPerKey = 2
	// unavailablePause is the time between two attempts at a read that says it can't be had now.
	unavailablePause = 250 * time.Millisecond
	// maxShown is how many violations an error shows.
	maxShown = 10
)

// NewestLeft is a promise that package history does not know: of a key with a single writer, the newest acknowledged write is left, or one that the writer began later.
const NewestLeft = "the single writer's newest is left"

// Violations are promises that were broken.
type Violations []*history.Violation

// Error tells the first of them in full.
func (v Violations) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d promises broken", len(v))
	for i, one := range v {
		if i == maxShown {
			fmt.Fprintf(&b, "\n... and %d more", len(v)-maxShown)
			break
		}
		fmt.Fprintf(&b, "\n%v", one)
	}
	return b.String()
}

// Verify reads every key through the targets given, best each a node, and judges all that was seen. The load must have stopped and the network be whole. A read that can't be had is tried
// again until ctx ends. The error is of type Violations when a promise was broken; otherwise it says why nothing could be judged. It may be called again, with later reads.
func (l *Load) Verify(ctx context.Context, targets []string) error {
	if l.stopped == 0 {
		return fmt.Errorf("verify: the load has not stopped")
	}
	final, err := l.readAll(ctx, targets)
	if err != nil {
		return err
	}
	l.history.Final = final
	found := Violations(history.Check(&l.history))
	found = append(found, l.checkNewest(final)...)
	if len(found) > 0 {
		return found
	}
	return nil
}

// written returns every key that anybody ever tried to write, sorted.
func (l *Load) written() []string {
	keys := map[string]bool{}
	for i := range l.history.Ops {
		keys[l.history.Ops[i].Key] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// readAll reads every key, adds that to the history and returns what the last read of each was answered.
func (l *Load) readAll(ctx context.Context, urls []string) (map[string]history.State, error) {
	if len(urls) == 0 {
		return nil, fmt.Errorf("verify: no targets")
	}
	v := verifier{load: l, urls: urls, jobs: make(chan job), final: map[string]history.State{}}
	for _, url := range urls {
		c, err := newClient(&l.cfg, url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		v.nodes = append(v.nodes, c)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range verifiers {
		wg.Go(func() {
			for j := range v.jobs {
				if err := v.read(ctx, j); err != nil {
					cancel(err)
				}
			}
		})
	}
	v.hand(ctx)
	wg.Wait()
	return v.final, context.Cause(ctx)
}

// A job is a key with the first target to read it through, and how many to read it through.
type job struct {
	key          string
	first, count int
}

// A verifier reads keys.
type verifier struct {
	load  *Load
	urls  []string
	nodes []*client.Client
	jobs  chan job

	mu    sync.Mutex
	final map[string]history.State // guarded by mu
}

// hand gives out the jobs.
func (v *verifier) hand(ctx context.Context) {
	defer close(v.jobs)
	for i, key := range v.load.written() {
		j := job{key: key, first: i, count: len(v.nodes)}
		if strings.HasPrefix(key, v.load.keys.prefix+"new/") {
			j.count = min(j.count, readsPerKey)
		}
		select {
		case v.jobs <- j:
		case <-ctx.Done():
			return
		}
	}
}

func (v *verifier) read(ctx context.Context, j job) error {
	for i := range j.count {
		n := (j.first + i) % len(v.nodes)
		op, err := v.readOne(ctx, n, j.key)
		if err != nil {
			return err
		}
		v.load.history.Add(op)
		v.mu.Lock()
		v.final[j.key] = history.State{Found: op.Outcome == history.OK, Version: op.Version, Value: op.Value}
		v.mu.Unlock()
	}
	return nil
}

// readOne reads a key through a node until that answers what it holds, or that there is nothing.
func (v *verifier) readOne(ctx context.Context, n int, key string) (history.Op, error) {
	for {
		op := history.Op{Kind: history.Get, Key: key, Node: v.urls[n], Call: int64(v.load.now())}
		attempt, cancel := context.WithTimeout(ctx, v.load.cfg.AttemptTimeout)
		err := ask(attempt, v.nodes[n], &op, new(string))
		cancel()
		op.Return = int64(v.load.now())
		if op.Outcome != history.Unknown {
			return op, nil
		}
		if fault.KindOf(err) != fault.Unavailable || !pause(ctx, unavailablePause) {
			return op, fmt.Errorf("verify %s through %s: %w", key, v.urls[n], err)
		}
	}
}

// checkNewest holds what is left of keys with a single writer against what that writer knows.
func (l *Load) checkNewest(final map[string]history.State) (found Violations) {
	for _, c := range l.callers {
		for _, key := range slices.Sorted(maps.Keys(c.newest)) {
			newest, left := c.newest[key], final[key]
			if !l.keys.singleWriter(key) || !left.Found {
				continue // package history judges those
			}
			if w, ok := parseWrite(left.Value); !ok || w.key != key || w.caller != c.id || w.number < newest {
				found = append(found, &history.Violation{
					Promise: NewestLeft,
					Detail:  fmt.Sprintf("%s: write %d of caller %d was acknowledged, what is left is %.60q", key, newest, c.id, left.Value),
					Ops:     l.opsOf(key, newest),
				})
			}
		}
	}
	return found
}

// opsOf returns what was asked about a key from the write of the given number on.
func (l *Load) opsOf(key string, from int) (ops []*history.Op) {
	for i := range l.history.Ops {
		o := &l.history.Ops[i]
		if w, ok := parseWrite(o.Value); o.Key == key && ok && (w.number >= from || o.Kind == history.Get) {
			ops = append(ops, o)
		}
	}
	return ops[max(0, len(ops)-maxShown):]
}
