package machine

import (
	"cmp"
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How the garbage collector is tuned, in percent of the live heap that is allocated between two collections, as GOGC has it.
const (
	// usualPercent is for a process with little to do, whose memory is to be small, and busyPercent for one that allocates much: collections are then a third as many.
	usualPercent, busyPercent = 100, 300
	// busyRate and quietRate are how many collections a second, at usualPercent, make a process busy and quiet. Between them it stays as it is.
	busyRate, quietRate = 1.0, 0.2
	// heapShare is the part of the memory that the heap of a busy process may take: one in so many; fallbackMemory stands for a memory of unknown size.
	heapShare      = 8
	fallbackMemory = 1 << 30

	tuneInterval = 2 * time.Second
)

// The metrics that tell how busy the collector is.
const (
	metricCycles = "/gc/cycles/total:gc-cycles"
	metricLive   = "/gc/heap/live:bytes"
)

// TuneCollector has the process's garbage collector run less often while it would run often, until ctx ends: a tenth of the processor time of a busy node went into collections of a small heap. memory is that of the machine
// in bytes, 0 where it is not known.
func TuneCollector(ctx context.Context, memory int64) {
	percent, before := usualPercent, uint64(0)
	defer debug.SetGCPercent(debug.SetGCPercent(usualPercent))
	samples := []metrics.Sample{{Name: metricCycles}, {Name: metricLive}}
	metrics.Read(samples)
	before = samples[0].Value.Uint64()
	tick := time.NewTicker(tuneInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		cycles, live := samples[0].Value.Uint64(), samples[1].Value.Uint64()
		if next := nextPercent(percent, cycles-before, live, uint64(cmp.Or(memory, fallbackMemory))); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
		before = cycles
	}
}

// nextPercent returns the percentage for the time after one of tuneInterval, in which there were so many collections at a percentage, with so many bytes alive after the last.
func nextPercent(percent int, cycles, live, memory uint64) int {
	rate := float64(cycles) / tuneInterval.Seconds() * float64(percent) / usualPercent
	switch {
	case live*(100+busyPercent)/100 > memory/heapShare:
		return usualPercent
	case rate >= busyRate:
		return busyPercent
	case rate <= quietRate:
		return usualPercent
	}
	return percent
}
