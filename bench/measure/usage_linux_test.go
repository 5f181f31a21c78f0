package measure

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	got, err := parseStat("12 (a) b (c) S 1 12 12 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 100 1000000 3000 18446744073709551615 1", 4096)
	if want := (Usage{Memory: 3000 * 4096, CPU: 3 * time.Second}); got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "12 (a) S 1", "12 (a) S 1 12 12 0 -1 4194560 900 0 0 0 x 50 0 0 20 0 9 0 100 1000000 3000 1"} {
		if _, err := parseStat(bad, 4096); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	got, err := UsageOf(os.Getpid())
	if err != nil || got.Memory <= 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
