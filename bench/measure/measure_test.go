package measure

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/folkmoot/folkmoot/internal/pause"
)

func TestRunCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("third")
		got, err := Run(t.Context(), Load{Callers: 2, Duration: 10 * time.Second, Do: func(_ context.Context, i int) error {
			time.Sleep(time.Second)
			if i == 3 {
				return failure
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got.Operations != 20 || got.Failures != 1 || got.Failure != failure || got.P50 != time.Second || got.Elapsed != 10*time.Second {
			t.Errorf("got %+v", got)
		}
		if rate := got.Rate(); rate != 1.9 {
			t.Errorf("got %v operations a second, want 1.9", rate)
		}
	})
}

// TestRateDoesNotWaitForASlowSystem shows that operations which a slow system keeps waiting count from when they were due.
func TestRateDoesNotWaitForASlowSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := Run(t.Context(), Load{Callers: 1, Duration: 10 * time.Second, Rate: 1, Do: func(context.Context, int) error {
			time.Sleep(2 * time.Second)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got.Operations != 10 || got.P99 < 10*time.Second || got.P99 > 12*time.Second {
			t.Errorf("got %d operations, the slowest after %v; want 10 of which the last has waited for nine others", got.Operations, got.P99)
		}
	})
}

func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := Run(t.Context(), Load{Callers: 100, Duration: 10 * time.Second, Rate: 50, Do: func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got.Operations != 500 || got.P50 != time.Second || got.P99 != time.Second {
			t.Errorf("got %+v", got)
		}
	})
}

func TestInterruptedOperationsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		got, err := Run(ctx, Load{Callers: 1, Duration: 10 * time.Second, Do: func(ctx context.Context, _ int) error { return pause.For(ctx, time.Second) }})
		if got.Operations != 1 || got.Failures != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestQuantile(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	for q, want := range map[float64]int{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := Quantile(values, q); got != want {
			t.Errorf("quantile %v: got %d, want %d", q, got, want)
		}
	}
	if got := Quantile[int](nil, 0.5); got != 0 {
		t.Errorf("of nothing: got %d", got)
	}
}

func TestTable(t *testing.T) {
	table := NewTable("what", "µs")
	table.Add("a", "10")
	table.Add("longer", "1")
	var out strings.Builder
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := "| what   | µs |\n|--------|----|\n| a      | 10 |\n| longer | 1  |\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
