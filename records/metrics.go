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

	repairBytes, repairRecords *prometheus.CounterVec // by direction
	compareBytes, comparisons  prometheus.Counter
	readRepair, hints, trims   prometheus.Counter
	fullSeconds                prometheus.Histogram
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
	// Alerts ask how these grow, which can't be seen of a series that begins with its first failure.
	for _, operation := range []string{"put", "delete"} {
		for _, kind := range []fault.Kind{fault.Unavailable, fault.Full} {
			m.operations.WithLabelValues(operation, kind.String())
		}
	}
	m.newRepairMetrics()
	m.collectors = []prometheus.Collector{
		s.conduct.cuts, m.operations, m.seconds, m.repairBytes, m.repairRecords, m.compareBytes, m.comparisons, m.readRepair, m.hints, m.trims, m.fullSeconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moot_records_full", Help: "Records that this node is first in charge of and of which all copies wanted agree.",
		}, func() float64 { return float64(s.Stats().Full) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moot_records_below", Help: "Records that this node is first in charge of and of which not all copies wanted are known to agree.",
		}, func() float64 { return float64(s.Stats().Below) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moot_records_unreachable", Help: "Records that this node is first in charge of and whose live holders are too few for a quorum.",
		}, func() float64 { return float64(s.Stats().Unreachable) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "moot_records_shards_held", Help: "Shards, of 4096, that this node is a holder of."},
			func() float64 { return float64(s.Stats().ShardsHeld) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "moot_records_shards_synced", Help: "Shards that this node is a holder of and in sync with."},
			func() float64 { return float64(s.Stats().ShardsSynced) }),
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

func (m *metrics) newRepairMetrics() {
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"direction"})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.repairBytes = vec("moot_records_repair_bytes_total", "Bytes of records that this node moved to put copies where they belong.")
	m.repairRecords = vec("moot_records_repair_records_total", "Records that this node moved to put copies where they belong.")
	m.compareBytes = counter("moot_records_compare_bytes_total", "Bytes of the digests that this node sent to compare copies.")
	m.comparisons = counter("moot_records_comparisons_total", "Comparisons of copies that this node began.")
	m.readRepair = counter("moot_records_read_repairs_total", "Copies that lacked the newest version when they were read, and were brought it.")
	m.hints = counter("moot_records_hints_total", "Records that were brought to a peer that had been away when they were written.")
	m.trims = counter("moot_records_trimmed_total", "Copies that were removed after they had been handed over.")
	m.fullSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "moot_records_full_seconds", Help: "Time from the acknowledgement of a write until all copies wanted were on disk.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // 0.5 ms to 8 s
	})
}

// repaired counts records that were moved for repair, "in" or "out".
func (m *metrics) repaired(direction string, records, bytes int) {
	if m != nil {
		m.repairRecords.WithLabelValues(direction).Add(float64(records))
		m.repairBytes.WithLabelValues(direction).Add(float64(bytes))
	}
}

func (m *metrics) compared(bytes int) {
	if m != nil {
		m.comparisons.Inc()
		m.compareBytes.Add(float64(bytes))
	}
}

func (m *metrics) readRepairs(n int) {
	if m != nil {
		m.readRepair.Add(float64(n))
	}
}

func (m *metrics) hinted(n int) {
	if m != nil {
		m.hints.Add(float64(n))
	}
}

func (m *metrics) trimmed(n int) {
	if m != nil {
		m.trims.Add(float64(n))
	}
}

// full counts a write whose copies are all on disk.
func (m *metrics) full(after time.Duration) {
	if m != nil {
		m.fullSeconds.Observe(after.Seconds())
	}
}
