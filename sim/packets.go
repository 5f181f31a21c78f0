package sim

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxQueued is how many packets an endpoint holds that were not read yet, as a socket's buffer does; more are lost.
	maxQueued = 4096
	// minLatency is the least time of a packet from peer to peer. To it comes a part of the network's spread, the same for all packets of a pair, in steps of latencyStep: packets of a
	// pair keep their order, and those that arrive at one moment are delivered together.
	minLatency  = time.Millisecond
	latencyStep = minLatency / 4
)

// A packet is under way, or waits at its destination.
type packet struct {
	from, to netip.AddrPort
	at       time.Time // when it arrives
	order    uint64    // packets that arrive at one moment arrive in the order in which they were sent
	data     []byte
}

// packetHeap is a container/heap of packets, the next to arrive first.
type packetHeap []*packet

func (h packetHeap) Len() int      { return len(h) }
func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h packetHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h *packetHeap) Push(x any) { *h = append(*h, x.(*packet)) }
func (h *packetHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}

// A link is one direction between two peers.
type link struct{ from, to netip.Addr }

// packets is the simulated network: it takes packets from endpoints, loses some, and delivers the others in time.
type packets struct {
	spread time.Duration // how much longer than minLatency packets may take

	wake chan struct{} // capacity 1: there may be an earlier packet
	done chan struct{} // closed when run has returned
	quit chan struct{} // closed to end run

	mu        sync.Mutex
	rng       *rand.Rand                   // guarded by mu
	endpoints map[netip.AddrPort]*endpoint // guarded by mu
	under     packetHeap                   // guarded by mu; the packets under way
	order     uint64                       // guarded by mu
	latency   map[link]time.Duration       // guarded by mu
	faults    faults                       // guarded by mu
	sent      uint64                       // guarded by mu; packets ever sent
	bytes     uint64                       // guarded by mu; their bytes
}

// faults are what is wrong with the network now.
type faults struct {
	frozen   map[netip.Addr]bool
	group    map[netip.Addr]int // packets between different groups are lost
	blocked  map[link]bool
	permille int // packets lost of a thousand, anywhere
}

func (f *faults) lose(l link, rng *rand.Rand) bool {
	return f.frozen[l.from] || f.frozen[l.to] || f.group[l.from] != f.group[l.to] || f.blocked[l] ||
		f.permille > 0 && rng.IntN(1000) < f.permille
}

func newPackets(rng *rand.Rand, spread time.Duration) *packets {
	p := &packets{
		rng: rng, spread: spread, wake: make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{}),
		endpoints: map[netip.AddrPort]*endpoint{}, latency: map[link]time.Duration{},
		faults: faults{frozen: map[netip.Addr]bool{}, group: map[netip.Addr]int{}, blocked: map[link]bool{}},
	}
	go p.run()
	return p
}

// change changes what is wrong with the network.
func (p *packets) change(f func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.faults)
}

// listen gives an address to a new endpoint, in place of the one that had it.
func (p *packets) listen(addr netip.AddrPort) *endpoint {
	e := newEndpoint(p, addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endpoints[addr] = e
	return e
}

// unplug takes an address from its endpoint: nothing reaches or leaves it any more.
func (p *packets) unplug(addr netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.endpoints, addr)
}

func (p *packets) send(e *endpoint, to netip.AddrPort, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.bytes += uint64(len(data))
	l := link{e.addr.Addr(), to.Addr()}
	if p.endpoints[e.addr] != e || p.faults.lose(l, p.rng) {
		return
	}
	p.order++
	heap.Push(&p.under, &packet{
		from: e.addr, to: to, at: time.Now().Add(p.latencyOf(l)), order: p.order, data: append([]byte(nil), data...),
	})
	if p.under[0].order == p.order {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// latencyOf returns how long packets take. mu is held.
func (p *packets) latencyOf(l link) time.Duration {
	d, ok := p.latency[l]
	if !ok {
		d = minLatency + latencyStep*time.Duration(p.rng.IntN(int(p.spread/latencyStep)+1))
		p.latency[l] = d
	}
	return d
}

// run delivers packets until quit is closed.
func (p *packets) run() {
	defer close(p.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next, ok := p.deliver(); ok {
			timer.Reset(next)
		}
		select {
		case <-p.quit:
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// deliver hands over what has arrived, and returns how long it is to the next packet.
func (p *packets) deliver() (next time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.under) > 0 {
		if next := time.Until(p.under[0].at); next > 0 {
			return next, true
		}
		arrived := heap.Pop(&p.under).(*packet)
		if e := p.endpoints[arrived.to]; e != nil {
			e.receive(arrived)
		}
	}
	return 0, false
}

func (p *packets) close() {
	close(p.quit)
	<-p.done
}
