package records_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm"
)

// TestFullDisk: one of three peers runs out of room, then of all.
func TestFullDisk(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *simulation) {
		var full [3]atomic.Bool
		for i, n := range s.nodes {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			s.openOn(n, errorfs.Wrap(n.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if full[i].Load() && op.Kind == errorfs.OpFileWrite {
					return syscall.ENOSPC
				}
				return nil
			})))
		}
		settle() // until they know that nobody else comes who may know more
		put(t, s.nodes[0], "key", "value", records.All)
		full[2].Store(true)
		put(t, s.nodes[0], "key", "two have room", records.Quorum)
		wantValue(t, s.nodes[2], "key", "two have room")
		full[1].Store(true)
		_, err := s.nodes[0].Put(t.Context(), "key", []byte("one has room"), records.PutOptions{})
		wantKind(t, "put", err, fault.Full, "the disk is full")
		if _, err := s.nodes[1].Get(t.Context(), "key", records.GetOptions{}); err != nil {
			t.Errorf("get on a full disk: %v", err)
		}
		full[1].Store(false)
		full[2].Store(false)
		settle()
		put(t, s.nodes[0], "key", "room again", records.All)
		wantValue(t, s.nodes[1], "key", "room again")
	})
}

// TestRunEndsWhenTheDiskFails: the node should stop rather than go on without a disk. It runs outside simulated time, since what waits for a
// failed disk waits for ever.
func TestRunEndsWhenTheDiskFails(t *testing.T) {
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpFileSyncData {
			return syscall.EIO
		}
		return nil
	}))
	store, err := records.Open(soloConfig(t, fs))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "key", []byte("value"), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- store.Run(context.Background()) }()
	broken.Store(true)
	if _, err := store.Put(t.Context(), "key", []byte("lost"), records.PutOptions{}); err == nil {
		t.Error("a write on a broken disk was acknowledged")
	}
	if err := <-ran; err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("run: %v", err)
	}
	if _, err := store.Get(t.Context(), "key", records.GetOptions{}); err != nil {
		t.Errorf("get: %v", err)
	}
	if err := store.Close(); err == nil {
		t.Error("closed as if nothing had happened")
	}
}

// soloConfig is that of a store in a network of its own.
func soloConfig(t *testing.T, fs vfs.FS) records.Config {
	t.Helper()
	key, id := newKey(t)
	network, err := swarm.OpenNetwork("solo")
	if err != nil {
		t.Fatal(err)
	}
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: network, Listen: loopback(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	v := new(viewer)
	v.set(&routing.View{Self: id, Members: []routing.Member{{ID: id, State: routing.Alive}}})
	return records.Config{Host: h, Key: key, Network: network, Viewer: v, Dir: "records", FS: fs}
}

func TestConfig(t *testing.T) {
	good := soloConfig(t, vfs.NewMem())
	other, _ := newKey(t)
	for what, change := range map[string]func(*records.Config){
		"no host":       func(c *records.Config) { c.Host = nil },
		"no view":       func(c *records.Config) { c.Viewer = nil },
		"no folder":     func(c *records.Config) { c.Dir = "" },
		"no key":        func(c *records.Config) { c.Key = nil },
		"another's key": func(c *records.Config) { c.Key = other },
		"copies":        func(c *records.Config) { c.Copies = records.MaxCopies + 1 },
	} {
		cfg := good
		change(&cfg)
		_, err := records.Open(cfg)
		wantKind(t, what, err, fault.Invalid)
	}
	first, err := records.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	_, err = records.Open(good)
	wantKind(t, "second store in the folder", err, fault.Conflict, "in use")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	elsewhere := good
	elsewhere.Network[0]++
	_, err = records.Open(elsewhere)
	wantKind(t, "another network", err, fault.Conflict, "another network")
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := soloConfig(t, vfs.NewMem())
	cfg.Registerer = registry
	store, err := records.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "key", nil, records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = store.Get(t.Context(), "nothing", records.GetOptions{})
	wantKind(t, "get", err, fault.NotFound)
	got := gather(t, registry)
	for name, want := range map[string]float64{
		"moot_records_operations_total get not-found": 1, "moot_records_operations_total put ok": 1, "moot_records_stored": 1,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v; all: %v", name, got[name], want, got)
		}
	}
	for _, name := range []string{"put full", "put unavailable", "delete full", "delete unavailable"} {
		if _, ok := got["moot_records_operations_total "+name]; !ok {
			t.Errorf("%s is told from its first time on alone: alerts do not see that one", name)
		}
	}
	if got["moot_records_disk_bytes"] <= 0 {
		t.Errorf("disk bytes = %v", got["moot_records_disk_bytes"])
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if store, err = records.Open(cfg); err != nil { // the metrics were unregistered
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// gather returns the counters and gauges by name and label values.
func gather(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// TestSlowPeerHoldsUpNobody: a peer that stops answering under load does not take the places of the others' writes.
func TestSlowPeerHoldsUpNobody(t *testing.T) {
	simulate(t, 5, func(t *testing.T, s *simulation) {
		value := strings.Repeat("v", 1<<20)
		put(t, s.nodes[0], "warm", "v", records.All)
		s.nodes[4].frozen.Store(true)
		start := time.Now()
		for i := range 40 { // more than a peer's backlog takes
			put(t, s.nodes[0], fmt.Sprint("key", i), value, records.Quorum)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("40 writes took %s", took)
		}
		settle()
		synctest.Wait()
	})
}
