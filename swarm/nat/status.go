package nat

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
)

// Status is how the node can be reached now.
type Status struct {
	Verdict
	// Mapping says what a NAT makes of the node's port, by transport: tcp and quic-v1.
	Mapping map[string]Mapping
	// Relays are the peers through which the node is reached.
	Relays []peer.ID
	// Relaying is what the node does for others.
	Relaying Relaying
	// Punched and Failed are how many hole punches have made a direct connection, and how many have not.
	Punched, Failed int64
}

// Status returns how the node can be reached now. It may be called once Open has returned.
func (t *Traversal) Status() Status {
	own := t.own.Load().addrs
	return Status{
		Verdict:  t.judge.verdict(),
		Mapping:  map[string]Mapping{"tcp": t.observed.mapping("tcp", own), "quic-v1": t.observed.mapping("quic-v1", own)},
		Relays:   t.reserve.relays(),
		Relaying: t.relay.status(),
		Punched:  t.upgrade.punched.Load(), Failed: t.upgrade.failed.Load(),
	}
}

// metrics shows a Traversal's status when it is asked.
type metrics struct {
	t                                        *Traversal
	reachable, relays, punches               *prometheus.Desc
	serving, reservations, circuits, relayed *prometheus.Desc
}

func newMetrics(t *Traversal) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &metrics{
		t:            t,
		reachable:    desc("moot_nat_reachable", "1 when others can dial the node, 0 when some can't or it is not known."),
		relays:       desc("moot_nat_relays", "Relays through which the node is reached."),
		punches:      desc("moot_nat_hole_punches_total", "Hole punches, by outcome.", "outcome"),
		serving:      desc("moot_relay_serving", "1 while the node relays for others."),
		reservations: desc("moot_relay_reservations", "Peers that are reached through the node."),
		circuits:     desc("moot_relay_circuits", "Relayed connections through the node."),
		relayed:      desc("moot_relay_bytes_total", "Bytes relayed since the node began to relay."),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.reachable, m.relays, m.punches, m.serving, m.reservations, m.circuits, m.relayed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	s := m.t.Status()
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(m.reachable, number(s.State == Reachable))
	gauge(m.relays, float64(len(s.Relays)))
	gauge(m.serving, number(s.Relaying.Serving))
	gauge(m.reservations, float64(s.Relaying.Reservations))
	gauge(m.circuits, float64(s.Relaying.Circuits))
	out <- prometheus.MustNewConstMetric(m.relayed, prometheus.CounterValue, float64(s.Relaying.Bytes))
	out <- prometheus.MustNewConstMetric(m.punches, prometheus.CounterValue, float64(s.Punched), "direct")
	out <- prometheus.MustNewConstMetric(m.punches, prometheus.CounterValue, float64(s.Failed), "failed")
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	if err := r.Register(m); err != nil {
		return fmt.Errorf("register the metrics of NAT traversal: %w", err)
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r != nil {
		r.Unregister(m)
	}
}
