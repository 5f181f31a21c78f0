package mdns

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/discoverytest"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/swarm"
)

// fakeHost has what a finder uses of a host.
type fakeHost struct {
	host.Host
	id  peer.ID
	bus event.Bus

	mu     sync.Mutex
	listen []ma.Multiaddr // guarded by mu
}

func newHost(t *testing.T, listen ...string) *fakeHost {
	t.Helper()
	return &fakeHost{id: test.RandPeerIDFatal(t), bus: eventbus.NewBus(), listen: addrs(listen...)}
}

func (h *fakeHost) ID() peer.ID              { return h.id }
func (h *fakeHost) EventBus() event.Bus      { return h.bus }
func (h *fakeHost) Network() network.Network { return fakeNetwork{host: h} }

type fakeNetwork struct {
	network.Network
	host *fakeHost
}

func (n fakeNetwork) InterfaceListenAddresses() ([]ma.Multiaddr, error) {
	n.host.mu.Lock()
	defer n.host.mu.Unlock()
	return n.host.listen, nil
}

// move changes where the host listens and says so on its event bus.
func (h *fakeHost) move(t *testing.T, listen ...string) {
	h.mu.Lock()
	h.listen = addrs(listen...)
	h.mu.Unlock()
	emitter, err := h.bus.Emitter(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		t.Error(err)
		return
	}
	defer emitter.Close()
	if err := emitter.Emit(event.EvtLocalAddressesUpdated{}); err != nil {
		t.Error(err)
	}
}

var errLink = errors.New("the link is broken")

// cable is a link in memory. Every RecordTTL a browser hears again whoever is announced under its service name.
type cable struct {
	mu         sync.Mutex
	interfaces []net.Interface            // guarded by mu
	broken     bool                       // guarded by mu: Announce and Browse fail
	announced  map[*announcement]struct{} // guarded by mu
	changed    chan struct{}              // guarded by mu; closed at the next announcement
	browsing   int                        // guarded by mu: Browse calls so far
	flood      func() []string            // guarded by mu: further answers, if not nil
	oneFamily  bool                       // guarded by mu: Browse fails for IPv6
}

func newCable() *cable {
	return &cable{interfaces: []net.Interface{{Index: 2, Name: "eth0"}}, announced: make(map[*announcement]struct{}), changed: make(chan struct{})}
}

func (c *cable) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cable) Interfaces() ([]net.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.interfaces), nil
}

func (c *cable) Announce(ctx context.Context, a announcement) error {
	c.mu.Lock()
	if c.broken {
		c.mu.Unlock()
		return errLink
	}
	c.announced[&a] = struct{}{}
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	<-ctx.Done()
	c.set(func() { delete(c.announced, &a) })
	return nil
}

func (c *cable) Browse(ctx context.Context, q query, heard func([]string)) error {
	c.set(func() { c.browsing++ })
	known := make(map[*announcement]time.Time)
	for ctx.Err() == nil {
		c.mu.Lock()
		if c.broken || c.oneFamily && q.Family == ipv6 {
			c.mu.Unlock()
			return errLink
		}
		changed, flood := c.changed, c.flood
		var fresh [][]string
		for a := range c.announced {
			if last, ok := known[a]; a.Service == q.Service && (!ok || time.Since(last) >= RecordTTL) {
				known[a] = time.Now()
				fresh = append(fresh, a.Texts)
			}
		}
		c.mu.Unlock()
		for _, texts := range fresh {
			heard(texts)
		}
		if flood != nil {
			for range MaxPeersPerBrowse {
				heard(flood())
			}
			return nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(RecordTTL):
		}
	}
	return nil
}

func newFinder(t *testing.T, c *cable, h host.Host, name string) *Finder {
	t.Helper()
	id, err := swarm.OpenNetwork(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Host: h, Network: id})
	if err != nil {
		t.Fatal(err)
	}
	f.link = c
	return f
}

// running is a finder that runs until its test ends.
type running struct {
	stop func()

	mu      sync.Mutex
	reports map[peer.ID][]string // guarded by mu: addresses of each report
}

func run(t *testing.T, f *Finder) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := &running{reports: make(map[peer.ID][]string)}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Find: %v", err)
		}
	})
	go func() {
		ended <- f.Find(ctx, func(p peer.AddrInfo) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reports[p.ID] = append(r.reports[p.ID], p.Addrs[0].String())
		})
	}()
	return r
}

func (r *running) of(id peer.ID) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.reports[id])
}

func TestConformance(t *testing.T) {
	discoverytest.TestFinder(t, func(t *testing.T) discovery.Finder {
		c := newCable()
		other := run(t, newFinder(t, c, newHost(t, "/ip4/10.0.0.2/tcp/4242"), "net"))
		t.Cleanup(other.stop)
		synctest.Wait()
		return newFinder(t, c, newHost(t, "/ip4/10.0.0.1/tcp/4242"), "net")
	})
}

func TestNetworksDoNotMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCable()
		a, b, x := newHost(t, "/ip4/10.0.0.1/tcp/1"), newHost(t, "/ip4/10.0.0.1/tcp/2"), newHost(t, "/ip4/10.0.0.1/tcp/3")
		ra, rb, rx := run(t, newFinder(t, c, a, "net")), run(t, newFinder(t, c, b, "net")), run(t, newFinder(t, c, x, "other"))
		time.Sleep(time.Hour)
		for _, r := range []*running{ra, rb, rx} {
			r.stop()
		}
		if len(ra.of(b.id)) == 0 || len(rb.of(a.id)) == 0 {
			t.Error("two peers of one network on one machine did not find one another")
		}
		if len(ra.reports) != 1 || len(rb.reports) != 1 || len(rx.reports) != 0 {
			t.Errorf("reports %v, %v, %v: want the other one of the network and nobody else", ra.reports, rb.reports, rx.reports)
		}
	})
}

func TestPeerThatComesLaterAndMovesIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCable()
		r := run(t, newFinder(t, c, newHost(t, "/ip4/10.0.0.1/tcp/1"), "net"))
		defer r.stop()
		time.Sleep(time.Hour)
		late := newHost(t)
		other := run(t, newFinder(t, c, late, "net"))
		defer other.stop()
		time.Sleep(time.Hour)
		if got := r.of(late.id); got != nil {
			t.Errorf("a peer that listens nowhere was reported at %v", got)
		}
		for _, addr := range []string{"/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.3/tcp/1"} {
			late.move(t, addr)
			time.Sleep(time.Second)
			if got := r.of(late.id); len(got) == 0 || got[len(got)-1] != addr {
				t.Errorf("after the peer moved to %s the reports are %v", addr, got)
			}
		}
	})
}

func TestInterfaceThatComesUpLaterIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCable()
		up := c.interfaces
		c.interfaces = nil
		a, b := newHost(t, "/ip4/127.0.0.1/tcp/1"), newHost(t, "/ip4/127.0.0.1/tcp/2")
		ra, rb := run(t, newFinder(t, c, a, "net")), run(t, newFinder(t, c, b, "net"))
		time.Sleep(time.Hour)
		if c.browsing != 0 {
			t.Errorf("browsed %d times without an interface", c.browsing)
		}
		c.set(func() { c.interfaces = up })
		time.Sleep(CheckInterval + time.Second)
		ra.stop()
		rb.stop()
		if len(ra.of(b.id)) == 0 || len(rb.of(a.id)) == 0 {
			t.Error("the peers did not find one another once there was an interface")
		}
	})
}

func TestBrokenLinkIsTriedRarelyUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCable()
		c.broken = true
		a, b := newHost(t, "/ip4/10.0.0.1/tcp/1"), newHost(t, "/ip4/10.0.0.2/tcp/1")
		ra, rb := run(t, newFinder(t, c, a, "net")), run(t, newFinder(t, c, b, "net"))
		time.Sleep(time.Hour)
		c.set(func() {
			c.broken, c.oneFamily = false, true
			if c.browsing < 4*40 || c.browsing > 4*70 {
				t.Errorf("four browsers tried %d times in an hour, want about 50 each", c.browsing)
			}
		})
		time.Sleep(2 * RetryLimit)
		ra.stop()
		rb.stop()
		if len(ra.of(b.id)) == 0 || len(rb.of(a.id)) == 0 {
			t.Error("the peers did not find one another once the link worked for one family")
		}
	})
}

func TestFloodIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCable()
		id := test.RandPeerIDFatal(t)
		c.flood = func() []string { return texts(id, addrs("/ip4/10.0.0.9/tcp/1")) }
		r := run(t, newFinder(t, c, newHost(t, "/ip4/10.0.0.1/tcp/1"), "net"))
		time.Sleep(5 * time.Minute)
		r.stop()
		if n, most := len(r.of(id)), 2*11*MaxPeersPerBrowse; n == 0 || n > most {
			t.Errorf("%d reports in five minutes of flood, want at most %d", n, most)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("error %v, want fault.Invalid", err)
	}
}
