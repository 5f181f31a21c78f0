package consensus

import (
	"testing"
	"time"
)

// TestPace: a block with little in it is followed at once, and a full one after a bounded time.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  time.Duration
	}{{nil, 0}, {[]int{0}, 0}, {[]int{paceBytes / 4, paceBytes / 4}, maxPace / 2}, {[]int{paceBytes}, maxPace}, {[]int{maxBlockBytes, maxBlockBytes}, maxPace}} {
		var txs [][]byte
		for _, n := range c.sizes {
			txs = append(txs, make([]byte, n))
		}
		if got := pace(txs); got != c.want {
			t.Errorf("after transactions of %v bytes: %s, want %s", c.sizes, got, c.want)
		}
	}
}
