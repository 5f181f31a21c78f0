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
	pending      prometheus.Collector
	registered   []prometheus.Collector // those that Close takes back
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
		pending: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moot_ledger_pending_transactions", Help: "Transactions that were handed in at this node and are in no block yet.",
		}, func() float64 { return float64(r.waitingAll()) }),
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
	return m
}

// register offers the metrics. After an error unregister is called all the same.
func (m *metrics) register() error {
	if m.registerer == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.transactions, m.checks, m.pending} {
		if err := m.registerer.Register(c); err != nil {
			return fmt.Errorf("register the ledger's metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

// unregister takes back what was registered.
func (m *metrics) unregister() {
	if m == nil {
		return
	}
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
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
