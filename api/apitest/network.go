package apitest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Network implements api.Backend: the node is connected to those who say so.
func (b *Backend) Network(ctx context.Context) (v1.Topology, error) {
	if err := b.enter(ctx, "Network"); err != nil {
		return v1.Topology{}, err
	}
	defer b.mu.Unlock()
	return b.topology(), nil
}

// topology needs mu.
func (b *Backend) topology() v1.Topology {
	t := v1.Topology{Self: Self, Peers: b.sortedPeers(), Mesh: true}
	for _, p := range t.Peers {
		if p.Connected {
			t.Links = append(t.Links, v1.Link{From: Self, To: p.ID, Kind: v1.LinkConnection, Transports: p.Transports, RTTMicros: p.RTTMicros})
		}
	}
	return t
}

// networkLog is what changed of the network. Its fields are guarded by Backend.mu.
type networkLog struct {
	events  []v1.NetworkEvent
	changed chan struct{} // closed at the next one
}

// TellNetwork makes every watch of the network tell e.
func (b *Backend) TellNetwork(e v1.NetworkEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.network.events = append(b.network.events, e)
	if b.network.changed != nil {
		close(b.network.changed)
		b.network.changed = nil
	}
}

// WatchNetwork implements api.Backend. Cursors are n and a place in the log.
func (b *Backend) WatchNetwork(ctx context.Context, cursor string) (api.NetworkWatch, error) {
	if err := b.enter(ctx, "WatchNetwork"); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	w := &networkWatch{b: b}
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "n%d", &w.next); err != nil {
			return nil, fault.New(fault.Invalid, "cursor %.40q: want one that a watch gave", cursor)
		}
		w.begun = w.next <= len(b.network.events)
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

type networkWatch struct {
	b      *Backend
	ctx    context.Context
	cancel context.CancelFunc
	begun  bool
	next   int
}

// Next implements api.NetworkWatch.
func (w *networkWatch) Next(ctx context.Context) (v1.NetworkEvent, error) {
	for {
		e, found, changed := w.take()
		if found {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v1.NetworkEvent{}, ctx.Err()
		case <-w.ctx.Done():
			return v1.NetworkEvent{}, fault.New(fault.Unavailable, "the watch has ended")
		}
	}
}

func (w *networkWatch) take() (e v1.NetworkEvent, found bool, changed <-chan struct{}) {
	b := w.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.begun {
		w.begun, w.next = true, len(b.network.events)
		return v1.NetworkEvent{Event: v1.NetworkState, Time: b.now().UTC(), State: &v1.NetworkWhole{Topology: b.topology()}}, true, nil
	}
	if w.next < len(b.network.events) {
		w.next++
		return b.network.events[w.next-1], true, nil
	}
	if b.network.changed == nil {
		b.network.changed = make(chan struct{})
	}
	return e, false, b.network.changed
}

// Cursor implements api.NetworkWatch.
func (w *networkWatch) Cursor() string { return fmt.Sprint("n", w.next) }

// Close implements api.NetworkWatch.
func (w *networkWatch) Close() error {
	w.cancel()
	return nil
}

func testNetwork(t *testing.T, b api.Backend) {
	network, err := b.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkTopology(t, network)
	if _, err := b.WatchNetwork(t.Context(), "no cursor"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("watch from what is no cursor: %v", err)
	}
	w, err := b.WatchNetwork(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	e := nextOf(t, w)
	if e.Event != v1.NetworkState || e.State == nil {
		t.Fatalf("the first event is %+v", e)
	}
	checkTopology(t, e.State.Topology)
	again, err := b.WatchNetwork(t.Context(), w.Cursor())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			e, err := again.Next(ctx)
			if err != nil {
				return
			}
			if e.Event == v1.NetworkState {
				t.Error("a watch that goes on begins anew")
			}
		}
	})
	cancel()
	waiting.Wait()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	for range 1 << 10 {
		if _, err := w.Next(t.Context()); err != nil {
			return
		}
	}
	t.Error("a watch that was closed goes on")
}

func nextOf(t *testing.T, w api.NetworkWatch) v1.NetworkEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchPatience)
	defer cancel()
	e, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func checkTopology(t *testing.T, network v1.Topology) {
	t.Helper()
	if !slices.IsSortedFunc(network.Peers, func(x, y v1.Peer) int { return strings.Compare(x.ID, y.ID) }) {
		t.Errorf("peers are not sorted: %+v", network.Peers)
	}
	connected := map[string]bool{}
	for _, l := range network.Links {
		connected[l.To] = l.Kind == v1.LinkConnection && l.From == network.Self && len(l.Transports) > 0
	}
	for _, p := range network.Peers {
		if p.Connected != connected[p.ID] || p.Self != (p.ID == network.Self) {
			t.Errorf("peer %+v, links %+v", p, network.Links)
		}
	}
	if len(network.Peers) < 2 || !network.Mesh || network.Partial {
		t.Errorf("network %+v", network)
	}
}
