package sim

import (
	"fmt"
	"slices"
	"strings"
)

// counters are values of metrics by name and labels, as in moot_records_repair_bytes_total{direction="in"}.
type counters map[string]float64

func (c counters) add(more counters) {
	for name, value := range more {
		c[name] += value
	}
}

// counters returns the life's counters.
func (l *life) counters() counters {
	c := counters{}
	families, err := l.metrics.Gather()
	l.failed("metrics", err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.Counter == nil {
				continue
			}
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			c[metricName(f.GetName(), labels)] += m.Counter.GetValue()
		}
	}
	return c
}

func metricName(name string, labels []string) string {
	if len(labels) == 0 {
		return name
	}
	slices.Sort(labels)
	return name + "{" + strings.Join(labels, ",") + "}"
}

// Counters returns the sums of the counters of all peers in all their lives, by name and labels as Prometheus writes them.
func (n *Network) Counters() map[string]float64 {
	n.mu.Lock()
	peers := slices.Clone(n.peers)
	n.mu.Unlock()
	sum := counters{}
	for _, p := range peers {
		p.mu.Lock()
		sum.add(p.counted)
		l := p.life
		p.mu.Unlock()
		if l != nil {
			sum.add(l.counters())
		}
	}
	return sum
}
