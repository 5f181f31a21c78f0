package main

import (
	"testing"

	v1 "github.com/folkmoot/folkmoot/api/v1"
)

func TestPeerState(t *testing.T) {
	for want, p := range map[string]v1.Peer{
		"alive":              {State: "alive"},
		"leaving":            {State: "alive", Leaving: true},
		"dead, leaving":      {State: "dead", Leaving: true},
		"this node":          {State: "alive", Self: true},
		"this node, leaving": {State: "alive", Self: true, Leaving: true},
	} {
		if got := peerState(p); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}
