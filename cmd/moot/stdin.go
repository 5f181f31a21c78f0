package main

import (
	"context"
	"io"
)

// readerFunc is a function as io.Reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// abandonable returns a reader of r whose Read returns when ctx ends, even if r's still blocks, as that of a terminal or
// pipe does. Nothing can end such a read: its goroutine goes with the process, and r must not be read otherwise afterwards.
func abandonable(ctx context.Context, r io.Reader) io.Reader {
	type result struct {
		n   int
		err error
	}
	results := make(chan result, 1)
	buf := make([]byte, 64<<10)
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		part := buf[:min(len(p), len(buf))]
		go func() {
			n, err := r.Read(part)
			results <- result{n, err}
		}()
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case got := <-results:
			return copy(p, part[:got.n]), got.err
		}
	})
}
