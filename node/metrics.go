package node

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo tells which program runs: always 1, the rest is in the labels.
func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "moot_build_info", Help: "1, by the version of the program and of Go that it was built with."}, []string{"version", "goversion"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	return info
}
