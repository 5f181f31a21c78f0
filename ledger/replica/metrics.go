package replica

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
)

// metrics count what a node's copy of the ledger does. They count whether or not somebody asks.
type metrics struct {
	registerer   prometheus.Registerer // nil: nobody asks
	transactions *prometheus.CounterVec
	checks       *prometheus.CounterVec
	rest         []prometheus.Collector
}

// What becomes of transactions and of their signatures, as labels.
const (
	resultApplied = "applied"
	resultFailed  = "failed"
	resultGood    = "good"
	resultWrong   = "wrong"
)

func newMetrics(r *Replica) *metrics {
	m := &metrics{
		registerer: r.cfg.Registerer,
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moot_ledger_transactions_total", Help: "Transactions in blocks that this node carried out, by what became of them.",
		}, []string{"result"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moot_ledger_signature_checks_total", Help: "Transactions whose signatures this node checked, by the result. Each is checked once, however often it comes.",
		}, []string{"result"}),
	}
	for _, result := range []string{resultApplied, resultFailed} {
		m.transactions.WithLabelValues(result)
	}
	for _, result := range []string{resultGood, resultWrong} {
		m.checks.WithLabelValues(result)
	}
	m.rest = []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moot_ledger_pending_transactions", Help: "Transactions that were handed in at this node and are in no block yet.",
		}, func() float64 { return float64(r.waitingAll()) }),
	}
	return m
}

// register offers the metrics.
func (m *metrics) register() error {
	if m.registerer == nil {
		return nil
	}
	for _, c := range m.all() {
		if err := m.registerer.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("register the ledger's metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister() {
	if m == nil || m.registerer == nil {
		return
	}
	for _, c := range m.all() {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) all() []prometheus.Collector {
	return append([]prometheus.Collector{m.transactions, m.checks}, m.rest...)
}

// checked counts transactions whose signatures were checked.
func (m *metrics) checked(good, wrong int) {
	m.checks.WithLabelValues(resultGood).Add(float64(good))
	m.checks.WithLabelValues(resultWrong).Add(float64(wrong))
}

// carriedOut counts those of a block.
func (m *metrics) carriedOut(b application.Block) {
	applied := 0
	for i := range b.Results {
		if b.Results[i].Code == ledger.Applied {
			applied++
		}
	}
	m.transactions.WithLabelValues(resultApplied).Add(float64(applied))
	m.transactions.WithLabelValues(resultFailed).Add(float64(len(b.Results) - applied))
}

// waitingAll returns how many transactions that were handed in here are in no block yet.
func (r *Replica) waitingAll() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}
