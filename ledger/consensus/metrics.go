package consensus

import "github.com/prometheus/client_golang/prometheus"

// collector tells a few numbers when it is asked. CometBFT's own metrics are off: they cost more than what they count.
type collector struct{ engine *Engine }

var (
	descHeight  = prometheus.NewDesc("moot_ledger_height", "Height of the newest block.", nil, nil)
	descRound   = prometheus.NewDesc("moot_ledger_round", "Attempts to make the next block that have failed.", nil, nil)
	descMembers = prometheus.NewDesc("moot_ledger_members", "Peers that take part in the ledger with this node.", nil, nil)
	descSyncing = prometheus.NewDesc("moot_ledger_syncing", "1 while blocks are fetched from others.", nil, nil)
	descFailed  = prometheus.NewDesc("moot_ledger_failed", "1 when the ledger has failed and needs a new start.", nil, nil)
	descPaused  = prometheus.NewDesc("moot_ledger_paused", "1 while the ledger stands still because the disk has no room.", nil, nil)
	descPool      = prometheus.NewDesc("moot_ledger_mempool_envelopes", "Envelopes of transactions that wait for a block.", nil, nil)
	descPoolBytes = prometheus.NewDesc("moot_ledger_mempool_bytes", "Bytes of the envelopes that wait for a block.", nil, nil)
	descPower     = prometheus.NewDesc("moot_ledger_power", "Voting power of the validators of the last block but one.", nil, nil)
	descVoted     = prometheus.NewDesc("moot_ledger_power_voted", "Voting power of those of them that voted for it.", nil, nil)
	descBarred  = prometheus.NewDesc("moot_ledger_barred", "1 when the validator does not vote because its key was seen elsewhere.", nil, nil)
)

// Describe tells what Collect does.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descHeight, descRound, descMembers, descSyncing, descFailed, descPaused, descBarred, descPool, descPoolBytes, descPower, descVoted} {
		ch <- d
	}
}

// Collect tells the numbers.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.engine.Status()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(descHeight, float64(s.Height))
	gauge(descRound, float64(s.Round))
	gauge(descMembers, float64(s.Members))
	gauge(descSyncing, one(s.Syncing))
	gauge(descFailed, one(s.Failure != nil))
	gauge(descPaused, one(s.Paused != nil))
	gauge(descBarred, one(s.Barred != nil))
	gauge(descPool, float64(s.Pool))
	gauge(descPoolBytes, float64(s.PoolBytes))
	if t, err := c.engine.Turnout(); err == nil {
		gauge(descPower, float64(t.Power))
		gauge(descVoted, float64(t.Voted))
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// register offers the metrics until the function that it returns is called.
func (e *Engine) register() (unregister func()) {
	if e.cfg.Registerer == nil {
		return func() {}
	}
	c := collector{e}
	if err := e.cfg.Registerer.Register(c); err != nil {
		e.cfg.Logger.Warn("ledger: no metrics", "error", err)
		return func() {}
	}
	return func() { e.cfg.Registerer.Unregister(c) }
}
