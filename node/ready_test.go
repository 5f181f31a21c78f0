package node_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
)

// settlePatience bounds the time until a node has seen all records at full count: it compares as of a moment ten seconds ago.
const settlePatience = time.Minute

// untilSettled waits until the node's records are ready, and returns the reasons why they were not.
func untilSettled(t *testing.T, n *node.Node) (reasons []string) {
	t.Helper()
	c := clientOf(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), settlePatience)
	defer cancel()
	for began := time.Now(); ; {
		err := c.RecordsReady(ctx)
		if err == nil {
			t.Logf("%s after %s", n.ID(), time.Since(began).Round(time.Millisecond))
			return reasons
		}
		if ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("records are not ready: %v; before: %q", err, reasons)
		}
		reasons = append(reasons, err.Error())
		time.Sleep(50 * time.Millisecond)
	}
}

func TestRecordsOfANodeAloneAreReady(t *testing.T) {
	t.Parallel()
	cfg := loopback(filepath.Join(t.TempDir(), "home"))
	cfg.API.Token = "secret"
	n, _ := start(t, cfg)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(n.APIURL() + "/readyz/records") // needs no token
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		if res.StatusCode != http.StatusServiceUnavailable || time.Since(began) > settlePatience {
			t.Fatalf("%s after %s", res.Status, time.Since(began))
		}
	}
}

// TestRecordsReadyUnderLoad restarts one node of three, and then all at once, while records are written all the time.
func TestRecordsReadyUnderLoad(t *testing.T) {
	t.Parallel()
	homes := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	first, stopFirst := start(t, loopback(homes[0]))
	second, stopSecond := start(t, loopback(homes[1], first.Addrs()...))
	third, stopThird := start(t, loopback(homes[2], first.Addrs()...))
	for _, n := range []*node.Node{first, second, third} {
		untilAlive(t, n, 3)
	}
	var written atomic.Int64
	stopWriting := writeTo(t, first, &written)
	for _, n := range []*node.Node{first, second, third} {
		untilSettled(t, n)
	}

	if err := stopThird(); err != nil {
		t.Fatal(err)
	}
	third, stopThird = start(t, loopback(homes[2], first.Addrs()...))
	before := written.Load()
	reasons := untilSettled(t, third)
	if len(reasons) == 0 || !strings.Contains(reasons[0], "records of this node may be below full count") || !strings.Contains(reasons[0], "shards") {
		t.Errorf("before that it said %q", reasons)
	}
	stopWriting()
	t.Logf("%d records were written while it was away or before, and %d since", before, written.Load()-before)
	for i := range before {
		wantHolders(t, third, key(i), 3)
	}

	var stopping sync.WaitGroup
	for _, stop := range []func() error{stopFirst, stopSecond, stopThird} {
		stopping.Go(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	stopping.Wait()
	var again []*node.Node
	for _, home := range homes { // they find one another from what they remember, at other ports only through the first
		cfg := loopback(home)
		if len(again) > 0 {
			cfg.Bootstrap = again[0].Addrs()
		}
		n, _ := start(t, cfg)
		again = append(again, n)
	}
	for _, n := range again {
		untilSettled(t, n)
	}
}

// wantHolders wants a record to be on the given number of disks. Who does not answer in time is asked again.
func wantHolders(t *testing.T, n *node.Node, key string, want int) {
	t.Helper()
	silent := func(h records.HolderState) bool { return !h.Answered }
	for {
		h, err := n.Records().Holders(t.Context(), key)
		if err == nil && slices.ContainsFunc(h.Holders, silent) && t.Context().Err() == nil {
			continue
		}
		found := 0
		for _, holder := range h.Holders {
			if holder.Found {
				found++
			}
		}
		if err != nil || found != want {
			t.Fatalf("record %s is on %d disks, want %d: %+v, %v", key, found, want, h, err)
		}
		return
	}
}

func key(i int64) string { return fmt.Sprint("k", i) }

// writeTo writes one record after the other through n until the function returned is called; then count tells how many.
func writeTo(t *testing.T, n *node.Node, count *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() {
		for ctx.Err() == nil {
			switch _, err := n.Records().Put(ctx, key(count.Load()), []byte("v"), records.PutOptions{}); {
			case err == nil:
				count.Add(1)
			case fault.KindOf(err) != fault.Unavailable && ctx.Err() == nil: // on a busy machine some writes are not acknowledged in time
				t.Errorf("record %d: %v", count.Load(), err)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	stopped := sync.OnceFunc(func() {
		cancel()
		writing.Wait()
	})
	t.Cleanup(stopped)
	return stopped
}
