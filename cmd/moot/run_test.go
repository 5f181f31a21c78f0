package main

import "testing"

func TestHeapLimit(t *testing.T) {
	for _, tt := range []struct {
		gomemlimit      string
		container, want int64
	}{{"", 0, 0}, {"", 1000, 900}, {"1GiB", 1000, 0}, {"off", 1000, 0}} {
		if got := heapLimit(tt.gomemlimit, tt.container); got != tt.want {
			t.Errorf("GOMEMLIMIT %q in a container of %d bytes: %d, want %d", tt.gomemlimit, tt.container, got, tt.want)
		}
	}
}
