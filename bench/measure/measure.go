// Package measure holds what the measurements share: load from concurrent callers, processor time, and the conditions
// under which figures were taken.
package measure

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Load is what callers do, each one thing after the other.
type Load struct {
	// Callers is how many there are.
	Callers int
	// Duration is how long they begin new operations.
	Duration time.Duration
	// Do does the operation with the given number, which counts up from 0.
	Do func(ctx context.Context, i int) error
}

// Result is what a Load did.
type Result struct {
	Operations int
	Failures   int
	// Failure is one of the failures, nil without any.
	Failure error
	Elapsed time.Duration
	// CPU is the processor time of the whole process meanwhile.
	CPU time.Duration
	// P50 and P99 are the times that half and all but a hundredth of the operations stayed below.
	P50, P99 time.Duration
}

// Run runs the load to its end.
func Run(ctx context.Context, load Load) (Result, error) {
	var (
		callers sync.WaitGroup
		next    atomic.Int64
		mu      sync.Mutex
		times   []time.Duration // guarded by mu
		failed  []error         // guarded by mu
	)
	cpu, err := CPU()
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	for range load.Callers {
		callers.Go(func() {
			var mine []time.Duration
			var errs []error
			for time.Since(began) < load.Duration && ctx.Err() == nil {
				start := time.Now()
				if err := load.Do(ctx, int(next.Add(1)-1)); err != nil {
					errs = append(errs, err)
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			times, failed = append(times, mine...), append(failed, errs...)
		})
	}
	callers.Wait()
	result := Result{Operations: len(times), Failures: len(failed), Elapsed: time.Since(began)}
	after, err := CPU()
	if err != nil {
		return Result{}, err
	}
	result.CPU = after - cpu
	result.P50, result.P99 = Quantile(times, 0.5), Quantile(times, 0.99)
	if len(failed) > 0 {
		result.Failure = failed[0]
	}
	return result, ctx.Err()
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

// CPU returns the processor time that this process has used, in user and kernel mode.
func CPU() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read the processor time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// Quantile returns the value that the fraction q of values stays below, and 0 without values. It sorts values.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

// Conditions describes the machine and the moment in a line.
func Conditions() string {
	kernel := "unknown kernel"
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = "Linux " + strings.TrimSpace(string(release))
	}
	return fmt.Sprintf("%d cores, %s/%s, %s, %s, %s",
		runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, kernel, runtime.Version(), time.Now().UTC().Format("2006-01-02"))
}
