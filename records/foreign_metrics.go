package records

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/records/disk"
)

// foreignMetrics count what foreign peers do. A nil *foreignMetrics counts nothing.
type foreignMetrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector
	requests   *prometheus.CounterVec
}

func newForeignMetrics(r prometheus.Registerer, space *disk.Foreign) (*foreignMetrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &foreignMetrics{registerer: r, requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "moot_foreign_requests_total", Help: "Requests of foreign Kademlia peers for values and providers, by kind and result.",
	}, []string{"request", "result"})}
	gauge := func(name, help string, value func(disk.ForeignUsage) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(space.Usage()) })
	}
	for _, c := range []prometheus.Collector{
		m.requests,
		gauge("moot_foreign_values", "Values of foreign peers on this node's disk.", func(u disk.ForeignUsage) float64 { return float64(u.Values) }),
		gauge("moot_foreign_bytes", "Bytes of keys and values of foreign peers on this node's disk.", func(u disk.ForeignUsage) float64 { return float64(u.Bytes) }),
		gauge("moot_foreign_providers", "Provider entries of foreign peers on this node's disk.", func(u disk.ForeignUsage) float64 { return float64(u.Providers) }),
	} {
		if err := r.Register(c); err != nil {
			m.unregister()
			return nil, err
		}
		m.collectors = append(m.collectors, c)
	}
	return m, nil
}

// count counts a request at its end.
func (m *foreignMetrics) count(request string, err *error) {
	if m == nil {
		return
	}
	result := "ok"
	if *err != nil {
		result = fault.KindOf(*err).String()
	}
	m.requests.WithLabelValues(request, result).Inc()
}

func (m *foreignMetrics) unregister() {
	if m == nil {
		return
	}
	for _, c := range m.collectors {
		m.registerer.Unregister(c)
	}
}
