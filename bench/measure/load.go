package measure

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/folkmoot/folkmoot/internal/pause"
)

// Load is what callers do.
type Load struct {
	// Callers is how many there are. Each does one operation after the other.
	Callers int
	// Duration is how long they begin new operations.
	Duration time.Duration
	// Operations is how many they begin at most; 0 sets no bound.
	Operations int
	// Rate is how many operations are due in a second, all callers together; 0 means that each caller begins the next operation as soon as
	// it has done one. Operations are due at random moments whatever became of those before, and an operation's time counts from when it was
	// due: a system that stands still for a while is not spared the operations that would have come meanwhile.
	Rate float64
	// Do does the operation with the given number, which counts up from 0.
	Do func(ctx context.Context, i int) error
	// CPU returns the processor time used so far by all that is measured; nil means that of this process.
	CPU func() (time.Duration, error)
}

// Result is what a Load did.
type Result struct {
	Operations int
	Failures   int
	// Failure is one of the failures, nil without any.
	Failure error
	Elapsed time.Duration
	// CPU is the processor time used meanwhile.
	CPU time.Duration
	// P50 and P99 are the times that half and all but a hundredth of the operations stayed below.
	P50, P99 time.Duration
}

// Run runs the load to its end.
func Run(ctx context.Context, load Load) (Result, error) {
	if load.CPU == nil {
		load.CPU = CPU
	}
	cpu, err := load.CPU()
	if err != nil {
		return Result{}, err
	}
	r := run{load: load, began: time.Now()}
	var callers sync.WaitGroup
	for range load.Callers {
		callers.Go(func() { r.call(ctx) })
	}
	callers.Wait()
	result := Result{Operations: len(r.times), Failures: len(r.failed), Elapsed: time.Since(r.began)}
	after, err := load.CPU()
	if err != nil {
		return Result{}, err
	}
	result.CPU = after - cpu
	result.P50, result.P99 = Quantile(r.times, 0.5), Quantile(r.times, 0.99)
	if len(r.failed) > 0 {
		result.Failure = r.failed[0]
	}
	return result, ctx.Err()
}

// run is a Load at work.
type run struct {
	load  Load
	began time.Time
	next  atomic.Int64

	mu     sync.Mutex
	times  []time.Duration // guarded by mu
	failed []error         // guarded by mu
}

// call is what one caller does.
func (r *run) call(ctx context.Context) {
	var times []time.Duration
	var failed []error
	for {
		i := int(r.next.Add(1) - 1)
		start, ok := r.start(ctx, i)
		if !ok {
			break
		}
		err := r.load.Do(ctx, i)
		if ctx.Err() != nil {
			break // whatever became of it says nothing about the system
		}
		if err != nil {
			failed = append(failed, err)
		}
		times = append(times, time.Since(start))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times, r.failed = append(r.times, times...), append(r.failed, failed...)
}

// start waits until operation i is due and returns when that was. It returns false when no more operations begin.
func (r *run) start(ctx context.Context, i int) (due time.Time, ok bool) {
	due = time.Now()
	if r.load.Rate > 0 {
		due = r.began.Add(time.Duration((float64(i) + rand.Float64()) / r.load.Rate * float64(time.Second)))
	}
	if due.Sub(r.began) >= r.load.Duration || ctx.Err() != nil || r.load.Operations > 0 && i >= r.load.Operations {
		return due, false
	}
	if wait := time.Until(due); wait > 0 && pause.For(ctx, wait) != nil {
		return due, false
	}
	return due, true
}

// Rate returns the operations per second that succeeded, 0 for the zero Result.
func (r Result) Rate() float64 {
	if r.Elapsed == 0 {
		return 0
	}
	return float64(r.Operations-r.Failures) / r.Elapsed.Seconds()
}

// CPUEach returns the processor time per operation.
func (r Result) CPUEach() time.Duration {
	if r.Operations == 0 {
		return 0
	}
	return r.CPU / time.Duration(r.Operations)
}
