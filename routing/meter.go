package routing

import (
	"github.com/prometheus/client_golang/prometheus"
)

// meter counts what the membership does. Its methods may be called from many goroutines.
type meter struct {
	members *prometheus.Desc
	viewer  Viewer
	probes  *prometheus.CounterVec
	bytes   *prometheus.CounterVec
}

func newMeter(v Viewer) *meter {
	return &meter{
		viewer: v,
		members: prometheus.NewDesc("moot_membership_members", "Peers known, this node not included, by what it believes of them.",
			[]string{"state"}, nil),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moot_membership_probes_total", Help: "Direct probes that ended, by whether they were answered."}, []string{"result"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moot_membership_bytes_total", Help: "Bytes of the membership protocol's messages, by direction."}, []string{"direction"}),
	}
}

func (m *meter) probed(err error) {
	result := "answered"
	if err != nil {
		result = "failed"
	}
	m.probes.WithLabelValues(result).Inc()
}

func (m *meter) sent(n int)     { m.bytes.WithLabelValues("sent").Add(float64(n)) }
func (m *meter) received(n int) { m.bytes.WithLabelValues("received").Add(float64(n)) }

// Describe implements prometheus.Collector.
func (m *meter) Describe(out chan<- *prometheus.Desc) {
	out <- m.members
	m.probes.Describe(out)
	m.bytes.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *meter) Collect(out chan<- prometheus.Metric) {
	v := m.viewer.View()
	for _, s := range []State{Alive, Suspect, Away, Dead} {
		n := v.Count(s)
		if s == Alive {
			n-- // the node itself
		}
		out <- prometheus.MustNewConstMetric(m.members, prometheus.GaugeValue, float64(n), s.String())
	}
	m.probes.Collect(out)
	m.bytes.Collect(out)
}

func (m *meter) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	return r.Register(m)
}

func (m *meter) unregister(r prometheus.Registerer) {
	if r != nil {
		r.Unregister(m)
	}
}
