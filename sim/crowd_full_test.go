//go:build sim

package sim_test

import "testing"

// TestCrowdOfAThousand: a thousand peers form one network, and a tenth of them is lost at once. It takes minutes and GiB: see docs/measurements.md.
func TestCrowdOfAThousand(t *testing.T) { loseATenth(t, 1000, 1000, 0) }
