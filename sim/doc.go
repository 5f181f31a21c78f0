// Package sim runs whole networks in one process: scale, faults, seeds.
//
// A Network is a number of peers that run the production code: a swarm host, a membership that finds out by itself who is there, and a record store. Only what
// lies below is simulated: packets go through memory instead of sockets (QUIC with its real encryption, acknowledgements and retransmissions), disks are
// in-memory file systems that forget at a power cut what was not synced, and clocks are those of a testing/synctest bubble, so that minutes of the network's
// time pass in seconds. A Network must be made, used and closed within one bubble.
//
// Faults are injected from below: peers lose power with or without their disk, freeze, stop cleanly and come back, leave for good; links lose packets one way, both ways or at
// random; clocks run ahead or behind. What a caller is told by a peer whose power was cut meanwhile doesn't count (ErrPowerCut): nobody could have heard it.
//
// # Seeds
//
// All choices of a Network and of the tests in this package come from one seed, which every test prints: identities, and with them where records are placed, latencies, lost packets,
// who fails when. The environment variable MOOT_SEED sets it:
//
//	MOOT_SEED=12345 go test -cpu 1 -run TestReplacement ./sim
//
// The seed doesn't fix in which order goroutines run that are ready at the same moment, nor the randomness that libp2p and the membership draw for themselves. A failure that
// needs a rare order may take a few runs of its seed to come back.
//
// # The proofs
//
// The tests show the promises of the record store: that peers may all be replaced (replacement_test.go), that losses leave every acknowledged record readable (loss_test.go), that a power cut of the whole
// network loses nothing (powercut_test.go), that divided networks converge (partition_test.go), that histories of concurrent operations under faults are right as judged by package
// history (history_test.go), and that restarts and departures move what they must and no more (restart_test.go). Each runs small in `go test` and at full size with the build tag sim:
//
//	go test -tags sim -v -timeout 60m ./sim
//
// as `make sim-full` and continuous integration do.
package sim
