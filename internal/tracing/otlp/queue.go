package otlp

import (
	"os"
	"strconv"
	"sync/atomic"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// queueVariable is the one of OpenTelemetry for how many spans may wait.
const queueVariable = "OTEL_BSP_MAX_QUEUE_SIZE"

// Counts are how many spans ended, by what became of them, since the exporter was opened. Those that wait are in none yet.
type Counts struct {
	// Sent were taken by the collector, Failed were not, and for Dropped there was no room while the collector was slow or did not answer.
	Sent, Failed, Dropped uint64
}

// counters count spans. What waits is bounded here, at the size of the queue of the SDK behind it, which drops without a word what it has no room for.
type counters struct {
	room                  int64
	waiting               atomic.Int64
	sent, failed, dropped atomic.Uint64
}

// newCounters returns counters for a queue of the size that the environment says.
func newCounters() *counters {
	room, err := strconv.ParseInt(os.Getenv(queueVariable), 10, 32)
	if err != nil || room <= 0 {
		room = sdk.DefaultMaxQueueSize
	}
	return &counters{room: room}
}

// enter takes a place in the queue, or counts that there was none.
func (c *counters) enter() bool {
	if c.waiting.Add(1) > c.room {
		c.waiting.Add(-1)
		c.dropped.Add(1)
		return false
	}
	return true
}

// leave gives the places of spans back that were sent, or could not be.
func (c *counters) leave(spans int, err error) {
	c.waiting.Add(-int64(spans))
	if err != nil {
		c.failed.Add(uint64(spans))
		return
	}
	c.sent.Add(uint64(spans))
}

// gatekeeper lets as many spans into the SDK's queue as it has room for.
type gatekeeper struct {
	sdk.SpanProcessor
	counters *counters
}

// OnEnd implements sdk.SpanProcessor.
func (g gatekeeper) OnEnd(s sdk.ReadOnlySpan) {
	if s.SpanContext().IsSampled() && g.counters.enter() { // others are not sent
		g.SpanProcessor.OnEnd(s)
	}
}

// Counts returns what became of the spans until now.
func (e *Exporter) Counts() Counts {
	c := e.sender.counters
	return Counts{Sent: c.sent.Load(), Failed: c.failed.Load(), Dropped: c.dropped.Load()}
}
