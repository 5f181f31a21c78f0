package node

import (
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/crypto"

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
	return nil
}
