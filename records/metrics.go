package records

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
)

// metrics count what a store does. A nil *metrics counts nothing.
type metrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector
	operations *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer, s *Store) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		registerer: r,
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moot_records_operations_total", Help: "Operations on records asked of this node, by kind and result.",
		}, []string{"operation", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "moot_records_operation_seconds", Help: "Time that operations on records took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12), // 0.5 ms to 1 s
		}, []string{"operation"}),
	}
	m.collectors = []prometheus.Collector{
		m.operations, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "moot_records_stored", Help: "Records on this node's disk."},
			func() float64 { return float64(s.Stats().Stored) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "moot_records_disk_bytes", Help: "Bytes that records use on this node's disk."},
			func() float64 { return float64(s.Stats().DiskBytes) }),
	}
	for i, c := range m.collectors {
		if err := r.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister()
			return nil, err
		}
	}
	return m, nil
}

// begin starts to measure an operation; what it returns is called at the end with the address of the operation's error.
func (m *metrics) begin(operation string) func(*error) {
	if m == nil {
		return func(*error) {}
	}
	start := time.Now()
	return func(err *error) {
		result := "ok"
		if *err != nil {
			result = fault.KindOf(*err).String()
		}
		m.operations.WithLabelValues(operation, result).Inc()
		m.seconds.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	}
}

func (m *metrics) unregister() {
	if m == nil {
		return
	}
	for _, c := range m.collectors {
		m.registerer.Unregister(c)
	}
}
