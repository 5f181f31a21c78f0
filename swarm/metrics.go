package swarm

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// collector counts connections and streams when it is asked; nothing is counted on the way.
type collector struct {
	network     network.Network
	connections *prometheus.Desc
	streams     *prometheus.Desc
	traffic     *traffic
	bytes       *prometheus.Desc
}

func newCollector(n network.Network, t *traffic) *collector {
	return &collector{
		network: n, traffic: t,
		bytes: prometheus.NewDesc("moot_swarm_bytes_total", "Bytes that streams carried, by direction. What encryption and transports add is not counted.", []string{"direction"}, nil),
		connections: prometheus.NewDesc("moot_swarm_connections", "Open connections, by who opened them and their transport.",
			[]string{"direction", "transport"}, nil),
		streams: prometheus.NewDesc("moot_swarm_streams", "Open streams, by the transport of their connections.", []string{"transport"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.connections
	out <- c.streams
	out <- c.bytes
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
	out <- prometheus.MustNewConstMetric(c.bytes, prometheus.CounterValue, float64(c.traffic.sent.Load()), "sent")
	out <- prometheus.MustNewConstMetric(c.bytes, prometheus.CounterValue, float64(c.traffic.received.Load()), "received")
}

// traffic counts the bytes of streams. It is libp2p's reporter of bandwidth, without rates and without maps of peers and protocols, which cost more than what they count.
type traffic struct{ sent, received atomic.Int64 }

var _ metrics.Reporter = (*traffic)(nil)

// LogSentMessage counts.
func (t *traffic) LogSentMessage(n int64) { t.sent.Add(n) }

// LogRecvMessage counts.
func (t *traffic) LogRecvMessage(n int64) { t.received.Add(n) }

// LogSentMessageStream counts nothing: the bytes were counted already.
func (*traffic) LogSentMessageStream(int64, protocol.ID, peer.ID) {}

// LogRecvMessageStream counts nothing: the bytes were counted already.
func (*traffic) LogRecvMessageStream(int64, protocol.ID, peer.ID) {}

// GetBandwidthForPeer tells nothing, and neither do those that follow but GetBandwidthTotals.
func (*traffic) GetBandwidthForPeer(peer.ID) metrics.Stats { return metrics.Stats{} }

// GetBandwidthForProtocol tells nothing.
func (*traffic) GetBandwidthForProtocol(protocol.ID) metrics.Stats { return metrics.Stats{} }

// GetBandwidthTotals tells how many bytes there were.
func (t *traffic) GetBandwidthTotals() metrics.Stats {
	return metrics.Stats{TotalIn: t.received.Load(), TotalOut: t.sent.Load()}
}

// GetBandwidthByPeer tells nothing.
func (*traffic) GetBandwidthByPeer() map[peer.ID]metrics.Stats { return nil }

// GetBandwidthByProtocol tells nothing.
func (*traffic) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }

// Reset does nothing: counters only rise.
func (*traffic) Reset() {}

// TrimIdle does nothing: nothing is kept.
func (*traffic) TrimIdle(time.Time) {}
