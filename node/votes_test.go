package node

import (
	"errors"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/ledger/consensus"
)

// TestVotes: who is counted on when another is voted out.
func TestVotes(t *testing.T) {
	why := errors.New("a reason")
	for name, tt := range map[string]struct {
		status consensus.Status
		want   bool
	}{
		"takes part":               {consensus.Status{Running: true}, true},
		"does not run":             {consensus.Status{}, false},
		"fetches blocks":           {consensus.Status{Running: true, Syncing: true}, false},
		"is barred":                {consensus.Status{Running: true, Barred: why}, false},
		"has failed":               {consensus.Status{Running: true, Failure: why}, false},
		"has no room on its disk":  {consensus.Status{Running: true, Paused: why}, false},
		"has a clock that is slow": {consensus.Status{Running: true, Behind: 2 * time.Minute}, false},
	} {
		if got := votes(&tt.status); got != tt.want {
			t.Errorf("one that %s: %t", name, got)
		}
	}
}
