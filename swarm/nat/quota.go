package nat

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/allowance"
	"github.com/folkmoot/folkmoot/swarm"
)

// Quotas bound what a node relays. Zero values stand for those of DefaultQuotas.
type Quotas struct {
	// Reservations is how many peers may have a place, each of which lets others reach it.
	Reservations int
	// Circuits is how many relayed connections there may be in all, CircuitsPerPeer how many that begin or end at one peer. They are at most swarm.MaxCircuits and swarm.MaxCircuitsPerPeer.
	Circuits, CircuitsPerPeer int
	// BytesPerSecond is how much is relayed in all, BytesPerSecondPerPeer how much that one peer sends. What is too much waits, and so do those who send it.
	BytesPerSecond, BytesPerSecondPerPeer int
}

// DefaultQuotas are what a node relays where nothing else is said.
func DefaultQuotas() Quotas {
	return Quotas{Reservations: 256, Circuits: swarm.MaxCircuits, CircuitsPerPeer: swarm.MaxCircuitsPerPeer, BytesPerSecond: 64 << 20, BytesPerSecondPerPeer: 16 << 20}
}

const (
	// requestRate is how many requests for places and circuits one peer may make in a second, after a first requestBurst: when a peer starts it may have a circuit to each of the others.
	requestRate  = 4
	requestBurst = swarm.MaxCircuitsPerPeer
	// burstTime is how much of a second's bytes may go at once.
	burstTime = 250 * time.Millisecond
)

func (q Quotas) withDefaults() Quotas {
	d := DefaultQuotas()
	for _, v := range []struct {
		have *int
		def  int
	}{
		{&q.Reservations, d.Reservations}, {&q.Circuits, d.Circuits}, {&q.CircuitsPerPeer, d.CircuitsPerPeer},
		{&q.BytesPerSecond, d.BytesPerSecond}, {&q.BytesPerSecondPerPeer, d.BytesPerSecondPerPeer},
	} {
		if *v.have == 0 {
			*v.have = v.def
		}
	}
	return q
}

func (q Quotas) validate() error {
	if q.Reservations < 0 || q.Circuits < 0 || q.CircuitsPerPeer < 0 || q.BytesPerSecond < 0 || q.BytesPerSecondPerPeer < 0 ||
		q.Circuits > swarm.MaxCircuits || q.CircuitsPerPeer > swarm.MaxCircuitsPerPeer {
		return fault.New(fault.Invalid, "nat: quotas %+v: want none below 0, up to %d circuits, and up to %d of one peer", q, swarm.MaxCircuits, swarm.MaxCircuitsPerPeer)
	}
	return nil
}

var errManyCircuits = errors.New("too many circuits")

// meter is the host that libp2p's relay service works with: the node's, with the quotas on its streams that the service has no options for.
type meter struct {
	host.Host
	quotas   Quotas
	requests *allowance.Each[peer.ID]
	all      *rate.Limiter
	bytes    atomic.Int64

	ctx    context.Context // ends when the service does
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool                      // guarded by mu
	circuits int                       // guarded by mu
	streams  map[*metered]struct{}     // guarded by mu; those that are open
	senders  map[peer.ID]*senderOfPeer // guarded by mu; those with open streams
}

// senderOfPeer bounds what one peer sends.
type senderOfPeer struct {
	limit   *rate.Limiter
	streams int
}

func newMeter(h host.Host, q Quotas) *meter {
	m := &meter{
		Host: h, quotas: q, requests: allowance.New[peer.ID](requestRate, requestBurst, maxCounted), all: bytesPerSecond(q.BytesPerSecond),
		streams: make(map[*metered]struct{}), senders: make(map[peer.ID]*senderOfPeer),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// bytesPerSecond returns a limiter that lets a buffer through at once.
func bytesPerSecond(n int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(n), max(int(float64(n)*burstTime.Seconds()), swarm.CircuitBuffer))
}

// close ends all circuits.
func (m *meter) close() {
	m.cancel()
	m.mu.Lock()
	m.closed = true
	open := slices.Collect(maps.Keys(m.streams))
	m.mu.Unlock()
	for _, s := range open {
		_ = s.Reset()
	}
}

// SetStreamHandler lets requests through that are within the bound of their peer.
func (m *meter) SetStreamHandler(p protocol.ID, h network.StreamHandler) {
	m.Host.SetStreamHandler(p, func(s network.Stream) {
		if !m.requests.Allow(s.Conn().RemotePeer(), time.Now()) {
			_ = s.ResetWithError(network.StreamRateLimited)
			return
		}
		if w, err := m.wrap(s, false); err == nil {
			h(w)
		} else {
			_ = s.ResetWithError(network.StreamRateLimited)
		}
	})
}

// NewStream opens the second half of a circuit.
func (m *meter) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	s, err := m.Host.NewStream(ctx, p, ids...)
	if err != nil {
		return nil, err
	}
	w, err := m.wrap(s, true)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	return w, nil
}

// wrap meters a stream until it is closed or reset; one that this side opened is a circuit.
func (m *meter) wrap(s network.Stream, circuit bool) (*metered, error) {
	p := s.Conn().RemotePeer()
	w := &metered{Stream: s, meter: m, circuit: circuit}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || circuit && m.circuits >= m.quotas.Circuits {
		return nil, errManyCircuits
	}
	if circuit {
		m.circuits++
	}
	w.from = m.senders[p]
	if w.from == nil {
		w.from = &senderOfPeer{limit: bytesPerSecond(m.quotas.BytesPerSecondPerPeer)}
		m.senders[p] = w.from
	}
	w.from.streams++
	m.streams[w] = struct{}{}
	return w, nil
}

func (m *meter) release(w *metered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, open := m.streams[w]; !open {
		return
	}
	delete(m.streams, w)
	if w.circuit {
		m.circuits--
	}
	if w.from.streams--; w.from.streams == 0 {
		delete(m.senders, w.Conn().RemotePeer())
	}
}

// open returns how many circuits there are.
func (m *meter) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.circuits
}

// metered is one half of a circuit.
type metered struct {
	network.Stream
	meter   *meter
	from    *senderOfPeer
	circuit bool
}

// Read reads no faster than the quotas allow: what is not read holds up the sender.
func (w *metered) Read(b []byte) (int, error) {
	n, err := w.Stream.Read(b[:min(len(b), swarm.CircuitBuffer)])
	if n == 0 {
		return n, err
	}
	w.meter.bytes.Add(int64(n))
	for _, l := range []*rate.Limiter{w.from.limit, w.meter.all} {
		if wait := l.WaitN(w.meter.ctx, n); wait != nil && err == nil {
			err = wait
		}
	}
	return n, err
}

// Close ends the stream.
func (w *metered) Close() error {
	w.meter.release(w)
	return w.Stream.Close()
}

// Reset ends the stream at once.
func (w *metered) Reset() error {
	w.meter.release(w)
	return w.Stream.Reset()
}

// ResetWithError ends the stream at once.
func (w *metered) ResetWithError(code network.StreamErrorCode) error {
	w.meter.release(w)
	return w.Stream.ResetWithError(code)
}
