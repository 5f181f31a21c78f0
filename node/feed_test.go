package node

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// stage is a network of which a test says how it is.
type stage struct {
	mu      sync.Mutex
	now     picture
	changed chan struct{}
	looks   int
}

func (s *stage) look() *picture {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	p := s.now
	p.at, p.network.Peers = time.Now(), slices.Clone(p.network.Peers)
	return newPicture(p)
}

func (s *stage) channels() []<-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []<-chan struct{}{s.changed}
}

func (s *stage) set(change func(*picture)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.now)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stage) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// runFeed runs a feed of a stage until the test ends.
func runFeed(t *testing.T) (*stage, *feed) {
	s := &stage{now: picture{network: v1.Topology{Self: "a", Peers: []v1.Peer{{ID: "a", Self: true}, {ID: "b", State: "alive", RTTMicros: 1000}}}}, changed: make(chan struct{})}
	f := newFeed(s.look, s.channels)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s, f
}

func openWatch(t *testing.T, f *feed, cursor string) *networkWatch {
	t.Helper()
	w, err := f.watch(t.Context(), cursor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// expect returns the next event, which must be of a type.
func expect(t *testing.T, w *networkWatch, name string) v1.NetworkEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := w.Next(ctx)
	if err != nil || e.Event != name {
		t.Fatalf("event %+v, %v; want %s", e, err, name)
	}
	return e
}

func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := runFeed(t)
		time.Sleep(time.Hour)
		if n := s.looked(); n != 0 {
			t.Errorf("looked %d times for nobody", n)
		}
		w := openWatch(t, f, "")
		if e := expect(t, w, v1.NetworkState); e.State.Self != "a" || len(e.State.Peers) != 2 {
			t.Errorf("state %+v", e.State)
		}
		begin := w.Cursor()
		s.set(func(p *picture) { p.network.Peers[1].State = "suspect" })
		if e := expect(t, w, v1.NetworkPeer); e.Peer.ID != "b" || e.Peer.State != "suspect" {
			t.Errorf("peer %+v", e.Peer)
		}
		s.set(func(p *picture) { p.network.Peers, p.records.Below = p.network.Peers[:1], 3 })
		if e := expect(t, w, v1.NetworkGone); e.ID != "b" {
			t.Errorf("gone %+v", e)
		}
		if e := expect(t, w, v1.NetworkRecords); e.Records.Below != 3 {
			t.Errorf("records %+v", e.Records)
		}
		// Who comes back gets what it missed, and who has been away for too long everything.
		back := openWatch(t, f, begin)
		expect(t, back, v1.NetworkPeer)
		w.Close()
		back.Close()
		cursor := back.Cursor()
		time.Sleep(feedLinger / 2)
		late := openWatch(t, f, cursor)
		expect(t, late, v1.NetworkGone)
		late.Close()
		time.Sleep(2 * feedLinger)
		looks := s.looked()
		time.Sleep(time.Hour)
		if n := s.looked(); n != looks {
			t.Errorf("looked %d times since the last reader went", n-looks)
		}
		expect(t, openWatch(t, f, cursor), v1.NetworkState)
		s.set(func(p *picture) { p.records.Below = 0 })
		other := openWatch(t, f, "aaaaaaaaaa.7")
		expect(t, other, v1.NetworkState)
		expect(t, other, v1.NetworkRecords)
	})
}

// TestSlowReader gets everything in place of what is not kept any more.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := runFeed(t)
		w := openWatch(t, f, "")
		expect(t, w, v1.NetworkState)
		for i := range int64(feedKept + 1) {
			s.set(func(p *picture) { p.records.Below = i + 1 })
			f.refresh()
		}
		if e := expect(t, w, v1.NetworkState); e.State.Records.Below != feedKept+1 {
			t.Errorf("state %+v", e.State.Records)
		}
		s.set(func(p *picture) { p.records.Below = 0 })
		expect(t, w, v1.NetworkRecords)
	})
}

func TestCursorsOfFeeds(t *testing.T) {
	f := newFeed(func() *picture { return newPicture(picture{}) }, nil)
	for _, cursor := range []string{"x", ".", "7", "aaaaaaaaaa", "aaaaaaaaaa.", "aaaaaaaaaa.-1", "aaaa.7", "aaaaaaaaaa.99999999999999999999"} {
		if _, err := f.watch(t.Context(), cursor); fault.KindOf(err) != fault.Invalid {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestChanges(t *testing.T) {
	peer := v1.Peer{ID: "b", State: "alive", Connected: true, Transports: []string{"tcp"}, RTTMicros: 10_000}
	base := func() picture {
		return picture{records: v1.Records{DiskBytes: 1 << 20}, ledger: &v1.Ledger{Height: 5}, network: v1.Topology{Self: "a", Peers: []v1.Peer{peer}, Links: linksOf("a", peer)},
			block: func(height int64) (v1.BlockBrief, bool) { return v1.BlockBrief{Height: height}, height != 7 }}
	}
	for _, tt := range []struct {
		name   string
		change func(p *picture)
		want   []string
	}{
		{"nothing", func(*picture) {}, nil},
		{"a round trip that is about the same", func(p *picture) { p.network.Peers[0].RTTMicros += 2000 }, nil},
		{"another round trip", func(p *picture) { p.network.Peers[0].RTTMicros += 3000 }, []string{"peer"}},
		{"seen again", func(p *picture) { p.network.Peers[0].LastSeen = time.Unix(1, 0) }, nil},
		{"another transport", func(p *picture) { p.network.Peers[0].Transports = []string{"quic-v1"} }, []string{"peer"}},
		{"a relay", func(p *picture) {
			p.network.Links = append(p.network.Links, v1.Link{From: "b", To: "c", Kind: v1.LinkRelay})
		}, []string{"peer"}},
		{"a little of the disk", func(p *picture) { p.records.DiskBytes += 1000 }, nil},
		{"much of the disk", func(p *picture) { p.records.DiskBytes *= 2 }, []string{"records"}},
		{"blocks, of which one is gone", func(p *picture) { p.ledger = &v1.Ledger{Height: 8, Root: "x"} }, []string{"block", "block"}},
		{"many blocks", func(p *picture) { p.ledger = &v1.Ledger{Height: 1000} }, slices.Repeat([]string{"block"}, maxBlocksTold)},
		{"a problem of the ledger", func(p *picture) { p.ledger = &v1.Ledger{Height: 5, Problem: "x"} }, []string{"ledger"}},
		{"somebody new", func(p *picture) { p.network.Peers = append(p.network.Peers, v1.Peer{ID: "c"}) }, []string{"peer"}},
		{"nobody", func(p *picture) { p.network.Peers, p.network.Links = nil, nil }, []string{"gone"}},
	} {
		now := base()
		now.network.Peers = slices.Clone(now.network.Peers)
		tt.change(&now)
		var got []string
		for _, e := range newPicture(base()).changes(newPicture(now)) {
			got = append(got, e.Event)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestSlowDrift tells of a round trip that grows a little at a time.
func TestSlowDrift(t *testing.T) {
	rtt, told := int64(10_000), 0
	at := func() *picture {
		return newPicture(picture{network: v1.Topology{Peers: []v1.Peer{{ID: "b", RTTMicros: rtt}}}})
	}
	before := at()
	for range 20 {
		rtt += 500
		now := at()
		told += len(before.changes(now))
		before = now
	}
	if told < 2 {
		t.Errorf("told %d times that a round trip doubled", told)
	}
}

func TestLinks(t *testing.T) {
	p := v1.Peer{ID: "b", Connected: true, Transports: []string{"relay"}, Relayed: true, Addresses: []string{
		"/ip4/192.0.2.1/tcp/4242", "/ip4/192.0.2.2/tcp/4242/p2p/r/p2p-circuit", "/ip4/192.0.2.2/udp/4242/quic-v1/p2p/r/p2p-circuit", "/ip4/192.0.2.3/tcp/1/p2p/b/p2p-circuit", "/p2p-circuit"}}
	links := linksOf("a", p)
	if len(links) != 2 || links[0].From != "a" || links[0].To != "b" || !links[0].Relayed || links[1].From != "b" || links[1].To != "r" || links[1].Kind != v1.LinkRelay {
		t.Errorf("links %+v", links)
	}
	if links := linksOf("a", v1.Peer{ID: "a", Self: true, Connected: true}); len(links) != 0 {
		t.Errorf("links with itself %+v", links)
	}
}
