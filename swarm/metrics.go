package swarm

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/prometheus/client_golang/prometheus"
)

// collector counts connections and streams when it is asked; nothing is counted on the way.
type collector struct {
	network     network.Network
	connections *prometheus.Desc
	streams     *prometheus.Desc
}

func newCollector(n network.Network) *collector {
	return &collector{
		network: n,
		connections: prometheus.NewDesc("moot_swarm_connections", "Open connections, by who opened them and their transport.",
			[]string{"direction", "transport"}, nil),
		streams: prometheus.NewDesc("moot_swarm_streams", "Open streams, by the transport of their connections.", []string{"transport"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.connections
	out <- c.streams
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	type way struct{ direction, transport string }
	connections := make(map[way]int)
	streams := make(map[string]int)
	for _, conn := range c.network.Conns() {
		stat, transport := conn.Stat(), TransportOf(conn.RemoteMultiaddr())
		direction := "outbound"
		if stat.Direction == network.DirInbound {
			direction = "inbound"
		}
		connections[way{direction, transport}]++
		streams[transport] += stat.NumStreams
	}
	for w, n := range connections {
		out <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), w.direction, w.transport)
	}
	for transport, n := range streams {
		out <- prometheus.MustNewConstMetric(c.streams, prometheus.GaugeValue, float64(n), transport)
	}
}
