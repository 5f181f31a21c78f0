package nat

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/swarm"
)

// reservationTime is how long a place at a relay is kept without being renewed.
const reservationTime = time.Hour

// relayService relays for members, while it serves.
type relayService struct {
	t *Traversal

	mu      sync.Mutex
	service *relay.Relay // guarded by mu; nil while it does not serve
	meter   *meter       // guarded by mu
	count   *relayCount  // guarded by mu
}

func newRelayService(t *Traversal) *relayService { return &relayService{t: t} }

// serve begins to relay, or ends it with all circuits.
func (r *relayService) serve(wanted bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wanted == (r.service != nil) {
		return nil
	}
	if !wanted {
		err := r.service.Close()
		r.meter.close()
		r.service, r.meter, r.count = nil, nil, nil
		r.t.logger.Info("relaying for others has ended")
		return err
	}
	q := r.t.cfg.Quotas
	m, count := newMeter(r.t.host, q), &relayCount{}
	service, err := relay.New(m,
		relay.WithResources(relay.Resources{
			ReservationTTL: reservationTime, MaxReservations: q.Reservations, MaxCircuits: q.CircuitsPerPeer, BufferSize: swarm.CircuitBuffer,
			// A whole site may be behind one address, and only members have a place.
			MaxReservationsPerIP: q.Reservations, MaxReservationsPerASN: q.Reservations,
		}),
		relay.WithInfiniteLimits(), // limited connections refuse ordinary streams; the quotas are ours
		relay.WithACL(members{r.t.peers}),
		relay.WithReservationAddressFilter(dialable),
		relay.WithMetricsTracer(count),
	)
	if err != nil {
		m.close()
		return fmt.Errorf("relay for others: %w", err)
	}
	r.service, r.meter, r.count = service, m, count
	r.t.logger.Info("relaying for others")
	return nil
}

// Relaying is what a node relays now.
type Relaying struct {
	// Serving says whether it relays at all.
	Serving bool
	// Reservations is how many peers have a place, Circuits how many relayed connections there are, Bytes how much was relayed since it began.
	Reservations, Circuits int
	Bytes                  int64
}

func (r *relayService) status() Relaying {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.service == nil {
		return Relaying{}
	}
	return Relaying{Serving: true, Reservations: int(max(r.count.reservations.Load(), 0)), Circuits: r.meter.open(), Bytes: r.meter.bytes.Load()}
}

// members lets members alone have places and circuits. Who is a member, and proven to be who it is, is decided when it connects; peers of other networks may be connected, too.
type members struct{ peers Peers }

// AllowReserve implements relay.ACLFilter.
func (m members) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return m.peers.Member(p) }

// AllowConnect implements relay.ACLFilter.
func (m members) AllowConnect(from peer.ID, _ ma.Multiaddr, to peer.ID) bool {
	return m.peers.Member(from) && m.peers.Member(to)
}

// relayCount counts reservations.
type relayCount struct{ reservations atomic.Int64 }

var _ relay.MetricsTracer = (*relayCount)(nil)

// ReservationAllowed counts a new reservation.
func (c *relayCount) ReservationAllowed(renewed bool) {
	if !renewed {
		c.reservations.Add(1)
	}
}

// ReservationClosed counts reservations that ended.
func (c *relayCount) ReservationClosed(n int) { c.reservations.Add(-int64(n)) }

// The rest of what the relay tells is counted elsewhere, or not at all.

func (c *relayCount) RelayStatus(bool)                    {}
func (c *relayCount) ConnectionOpened()                   {}
func (c *relayCount) ConnectionClosed(time.Duration)      {}
func (c *relayCount) ConnectionRequestHandled(pb.Status)  {}
func (c *relayCount) ReservationRequestHandled(pb.Status) {}
func (c *relayCount) BytesTransferred(int)                {}
