//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/ledgercheck"
)

const (
	// repaired is how many records a peer that has lost all gets again, and recordSize how long each is.
	repaired   = 2000
	recordSize = 8 << 10
	// recordWriters is how many write at a time.
	recordWriters = 16
)

// TestLedgerDuringRepair has a validator fetch all records again while people pay: the ledger goes on meanwhile. How fast, is told, and not judged.
func TestLedgerDuringRepair(t *testing.T) {
	n := newTown(t)
	n.putRecords()
	load := n.pay()
	began := time.Now()
	n.acknowledged(30)
	n.tellSpeed("before", began, time.Now())

	victim := n.random.IntN(validators)
	check(t, n.peers[victim].Kill())
	wipe(t, n.peers[victim], "records")
	began = time.Now()
	n.start(n.peers[victim])
	eventually(t, ledgerPatience, func() error { return n.hasRecords(victim) })
	n.tellSpeed("during a repair", began, time.Now())
	n.acknowledged(30)
	load.end()
	n.audit()
}

// putRecords writes the records to all peers.
func (n *town) putRecords() {
	n.t.Helper()
	var all errgroup.Group
	all.SetLimit(recordWriters)
	for i := range repaired {
		all.Go(func() error {
			value := bytes.Repeat([]byte{byte(i)}, recordSize)
			_, err := n.clients[i%len(n.clients)].PutRecord(n.t.Context(), fmt.Sprint("record/", i), value, v1.PutOptions{Consistency: "all"})
			return err
		})
	}
	check(n.t, all.Wait())
}

// hasRecords returns nil when a peer has all records on its own disk.
func (n *town) hasRecords(i int) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), commandPatience)
	defer cancel()
	count := 0
	for page, err := range n.clients[i].Pages(ctx, v1.ListOptions{Prefix: "record/", Local: true}) {
		if err != nil {
			return err
		}
		count += len(page.Records)
	}
	if count != repaired {
		return fmt.Errorf("%s has %d of %d records", n.peers[i].name, count, repaired)
	}
	return nil
}

// tellSpeed tells how long transfers waited for a block, and how many blocks with transfers there were.
func (n *town) tellSpeed(when string, from, to time.Time) {
	n.t.Helper()
	median, longest, count := latency(&n.history, from, to)
	blocks := make(map[int64]bool)
	for _, t := range n.history.Transfers() {
		if t.Height > 0 && !t.Return.Before(from) && t.Return.Before(to) {
			blocks[t.Height] = true
		}
	}
	n.t.Logf("%s: %d transfers in %s, acknowledged after %s (median) and %s (at most); a block with transfers each %s", when, count, to.Sub(from).Round(time.Millisecond),
		median.Round(time.Millisecond), longest.Round(time.Millisecond), (to.Sub(from) / time.Duration(max(len(blocks), 1))).Round(time.Millisecond))
}

// latency returns the median and the longest time to an acknowledgement of those transfers that were handed in between two moments.
func latency(h *ledgercheck.History, from, to time.Time) (median, longest time.Duration, count int) {
	var list []time.Duration
	for _, t := range h.Transfers() {
		if t.Outcome == ledgercheck.Committed && !t.Call.Before(from) && t.Call.Before(to) {
			list = append(list, t.Return.Sub(t.Call))
		}
	}
	if len(list) == 0 {
		return 0, 0, 0
	}
	slices.Sort(list)
	return list[len(list)/2], list[len(list)-1], len(list)
}
