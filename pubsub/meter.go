package pubsub

import (
	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// meter counts what gossipsub does. It implements gossipsub's tracer, whose methods are called on its one loop and must not block.
type meter struct {
	messages, rpcs, bytes *prometheus.CounterVec
	missed                prometheus.Counter
	met, gone             func(peer.ID)
	rejected              func(from peer.ID, reason string)
}

var _ gossipsub.RawTracer = (*meter)(nil)

func newMeter(met, gone func(peer.ID), rejected func(from peer.ID, reason string)) *meter {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "moot", Subsystem: "pubsub", Name: name, Help: help}, []string{label})
	}
	return &meter{
		messages: counter("messages_total", "Messages of topics by what became of them here.", "outcome"),
		rpcs:     counter("rpcs_total", "Gossip RPCs exchanged with neighbours; dropped ones waited too long for a slow neighbour.", "direction"),
		bytes:    counter("bytes_total", "Bytes of gossip RPCs.", "direction"),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "moot", Subsystem: "pubsub", Name: "missed_total", Help: "Messages that subscribers of this node were too slow for.",
		}),
		met: met, gone: gone, rejected: rejected,
	}
}

func (m *meter) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.messages, m.rpcs, m.bytes, m.missed}
}

func (m *meter) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			for _, done := range m.collectors()[:i] {
				r.Unregister(done)
			}
			return err
		}
	}
	return nil
}

func (m *meter) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.collectors() {
		r.Unregister(c)
	}
}

// OnNewOutboundStream is called when a neighbour has taken a stream.
func (m *meter) OnNewOutboundStream(p peer.ID, _ protocol.ID) { m.met(p) }

// OnClosedOutboundStream is called when a neighbour is gone.
func (m *meter) OnClosedOutboundStream(p peer.ID) { m.gone(p) }

// DeliverMessage counts a message that was new.
func (m *meter) DeliverMessage(*gossipsub.Message) { m.messages.WithLabelValues("delivered").Inc() }

// RejectMessage counts a message that is not passed on.
func (m *meter) RejectMessage(msg *gossipsub.Message, reason string) {
	m.messages.WithLabelValues("refused").Inc()
	m.rejected(msg.ReceivedFrom, reason)
}

// DuplicateMessage counts a message that had come another way.
func (m *meter) DuplicateMessage(*gossipsub.Message) { m.messages.WithLabelValues("duplicate").Inc() }

// RecvRPC counts what a neighbour sent.
func (m *meter) RecvRPC(rpc *gossipsub.RPC) { m.carried("received", rpc) }

// SendRPC counts what was sent to a neighbour.
func (m *meter) SendRPC(rpc *gossipsub.RPC, _ peer.ID) { m.carried("sent", rpc) }

// DropRPC counts what a neighbour was too slow for.
func (m *meter) DropRPC(rpc *gossipsub.RPC, _ peer.ID) { m.carried("dropped", rpc) }

func (m *meter) carried(direction string, rpc *gossipsub.RPC) {
	m.rpcs.WithLabelValues(direction).Inc()
	m.bytes.WithLabelValues(direction).Add(float64(rpc.Size()))
}

// The others are counted elsewhere or not at all.

func (m *meter) Join(string)                             {}
func (m *meter) Leave(string)                            {}
func (m *meter) Graft(peer.ID, string)                   {}
func (m *meter) Prune(peer.ID, string)                   {}
func (m *meter) ValidateMessage(*gossipsub.Message)      {}
func (m *meter) ThrottlePeer(peer.ID)                    {}
func (m *meter) UndeliverableMessage(*gossipsub.Message) { m.missed.Inc() }
