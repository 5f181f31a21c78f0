package node

import (
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/internal/tracing"
	"github.com/folkmoot/folkmoot/internal/tracing/otlp"
)

// openTracing begins to record requests, where that is wanted.
func (n *Node) openTracing(crypto.PrivKey) error {
	if n.cfg.Trace.To == "" {
		return nil
	}
	n.cfg.Logger = slog.New(tracing.LogHandler(n.cfg.Logger.Handler()))
	about := map[string]string{"service.name": "moot", "service.version": n.cfg.Version, "service.instance.id": n.home.ID.String(), "moot.network": n.home.Network}
	if n.cfg.Zone != "" {
		about["moot.zone"] = n.cfg.Zone
	}
	exporter, err := otlp.Open(otlp.Config{To: n.cfg.Trace.To, Sample: n.cfg.Trace.Sample, About: about, Logger: n.cfg.Logger.With("part", "traces")})
	if err != nil {
		return fmt.Errorf("open the traces: %w", err)
	}
	n.tracer = exporter.Tracer()
	n.onClose("close the traces", exporter.Close)
	if err := n.metrics.Register(spanCounts{exporter.Counts, spansDesc()}); err != nil {
		return fmt.Errorf("open the traces: %w", err)
	}
	return nil
}

func spansDesc() *prometheus.Desc {
	return prometheus.NewDesc("moot_trace_spans_total", "Spans of traces that ended at this node, by what became of them: sent to the collector, failed to be sent, or dropped because too many waited. There with --trace-to.", []string{"result"}, nil)
}

// spanCounts tells Prometheus what became of spans.
type spanCounts struct {
	counts func() otlp.Counts
	desc   *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (s spanCounts) Describe(descs chan<- *prometheus.Desc) { descs <- s.desc }

// Collect implements prometheus.Collector.
func (s spanCounts) Collect(metrics chan<- prometheus.Metric) {
	c := s.counts()
	for result, n := range map[string]uint64{"sent": c.Sent, "failed": c.Failed, "dropped": c.Dropped} {
		metrics <- prometheus.MustNewConstMetric(s.desc, prometheus.CounterValue, float64(n), result)
	}
}
