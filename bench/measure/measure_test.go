package measure

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
