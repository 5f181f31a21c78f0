package main

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]size{
		"0": 0, "17": 17, "17b": 17, "500MB": 500e6, "500mb": 500e6, "10GiB": 10 << 30, "1.5 KiB": 1536, "2T": 2e12, "1Ki": 1024, "8000PB": 8e18,
	} {
		var got size
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "1e3", "10 potatoes", "1.2.3MB", "0.5", "0x10", "10000PB", "Inf", "NaN", "1_000"} {
		var got size
		if err := got.Set(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
