// Package measure holds what the measurements share: load from concurrent callers, processor time, and the conditions
// under which figures were taken.
package measure

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// CPU returns the processor time that this process has used, in user and kernel mode.
func CPU() (time.Duration, error) {
	cpu, err := processTime()
	if err != nil {
		return 0, fmt.Errorf("read the processor time: %w", err)
	}
	return cpu, nil
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
