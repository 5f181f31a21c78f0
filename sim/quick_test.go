//go:build !sim

package sim_test

// full says that the proofs run at full size.
const full = false
