package recordbench

import (
	"fmt"
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Metrics of the record store.
const (
	metricFull   = "moot_records_full_seconds"
	metricRepair = "moot_records_repair_bytes_total"
)

// family returns a peer's metrics of one name, and whether there are any.
func family(g prometheus.Gatherer, name string) (*dto.MetricFamily, bool, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, false, fmt.Errorf("read the metrics: %w", err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f, true, nil
		}
	}
	return nil, false, nil
}

// repairBytes returns the bytes that the peers moved to put copies where they belong.
func (m *moot) repairBytes() (sum float64, err error) {
	for _, p := range m.peers {
		f, _, err := family(p.metrics, metricRepair) // absent until something was moved
		if err != nil {
			return 0, err
		}
		for _, one := range f.GetMetric() {
			sum += one.GetCounter().GetValue()
		}
	}
	return sum, nil
}

// buckets are those of a histogram: how many observations were at most bound, not counting those of the buckets before.
type bucket struct {
	bound float64
	count uint64
}

// addHistogram adds the observations of a family of histograms that all have the same buckets.
func addHistogram(sum []bucket, f *dto.MetricFamily) []bucket {
	for _, one := range f.GetMetric() {
		h := one.GetHistogram()
		var below uint64
		add := func(i int, bound float64, cumulative uint64) {
			if i == len(sum) {
				sum = append(sum, bucket{bound: bound})
			}
			sum[i].count += cumulative - below
			below = cumulative
		}
		n := 0
		for _, b := range h.GetBucket() {
			if math.IsInf(b.GetUpperBound(), 1) {
				continue
			}
			add(n, b.GetUpperBound(), b.GetCumulativeCount())
			n++
		}
		add(n, math.Inf(1), h.GetSampleCount())
	}
	return sum
}

// quantile returns an upper bound of the value that the fraction q of the observations stays below: infinity when it is above all bounds.
func quantile(buckets []bucket, q float64) float64 {
	var total, seen uint64
	for _, b := range buckets {
		total += b.count
	}
	for _, b := range buckets {
		if seen += b.count; total > 0 && float64(seen) >= q*float64(total) {
			return b.bound
		}
	}
	return 0
}

// FullCount is how long records take from the acknowledgement of a write, at a quorum, to all copies.
type FullCount struct {
	Observed uint64 `json:"observed"`
	// Below are the least bounds of the metric's buckets, in seconds, that half, all but a hundredth and all but a thousandth stay below; -1 where there is none.
	P50  float64 `json:"p50_below_seconds"`
	P99  float64 `json:"p99_below_seconds"`
	P999 float64 `json:"p999_below_seconds"`

	buckets []bucket
}

// addFullCount adds what the peers observed.
func (r *Report) addFullCount(m *moot) error {
	for _, p := range m.peers {
		f, found, err := family(p.metrics, metricFull)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if r.Full == nil {
			r.Full = new(FullCount)
		}
		r.Full.buckets = addHistogram(r.Full.buckets, f)
	}
	if f := r.Full; f != nil {
		f.Observed = 0
		for _, b := range f.buckets {
			f.Observed += b.count
		}
		f.P50, f.P99, f.P999 = finite(quantile(f.buckets, 0.5)), finite(quantile(f.buckets, 0.99)), finite(quantile(f.buckets, 0.999))
	}
	return nil
}

func finite(v float64) float64 {
	if math.IsInf(v, 1) {
		return -1
	}
	return v
}
