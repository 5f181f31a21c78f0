package rpc

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// maxIdleWorkers is how many goroutines of a Server wait for the next request. Their stacks have grown already, which costs a new goroutine
// more than everything else that it does around a handler.
const maxIdleWorkers = 16

// job is a request to be answered.
type job struct {
	stream  *serverStream
	id      uint64
	size    int                // of the frame, in bytes
	parent  *trace.SpanContext // nil: none
	request []byte
}

// workers answer requests, each in a goroutine of its own, as many at once as they are given.
type workers struct {
	jobs  chan job // taken by those who are idle
	ended sync.Once
	idle  atomic.Int32
	tasks sync.WaitGroup
}

func newWorkers() *workers { return &workers{jobs: make(chan job)} }

// do answers a request in the background.
func (w *workers) do(j job) {
	select {
	case w.jobs <- j:
	default:
		w.tasks.Go(func() { w.work(j) })
	}
}

// work answers a request, and then others while few workers are idle.
func (w *workers) work(j job) {
	for ok := true; ok; {
		j.stream.handle(j)
		j = job{} // what it holds is free while the worker waits
		if w.idle.Add(1) > maxIdleWorkers {
			w.idle.Add(-1)
			return
		}
		j, ok = <-w.jobs
		w.idle.Add(-1)
	}
}

// close ends the workers once nobody calls do any more, and waits for them.
func (w *workers) close() {
	w.ended.Do(func() { close(w.jobs) })
	w.tasks.Wait()
}
