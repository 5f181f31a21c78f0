package main

import (
	"context"
	"sync"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// gatherTime is how long the first transaction of a request waits for others.
const gatherTime = 2 * time.Millisecond

// batcher gathers what many goroutines hand in at the same time into requests, of which each waits for its own answer. One of those whose transactions are in a request makes it.
type batcher struct {
	submit func(context.Context, [][]byte) ([]client.Submitted, error)

	mu   sync.Mutex
	open *handedIn // what more may be added to, nil if there is none; guarded by mu
}

// handedIn is a request.
type handedIn struct {
	list  [][]byte      // guarded by batcher.mu until it is closed to more
	bytes int           // with lengths, guarded by batcher.mu
	full  chan struct{} // closed when it is not to wait any more
	done  chan struct{} // closed when it is answered
	// answers and err are set before done is closed.
	answers []client.Submitted
	err     error
}

// newBatcher returns one that hands in to a node and waits for blocks.
func newBatcher(c *client.Client) *batcher {
	return &batcher{submit: func(ctx context.Context, list [][]byte) ([]client.Submitted, error) {
		return c.SubmitBatch(ctx, list, v1.SubmitOptions{Wait: v1.WaitCommitted})
	}}
}

// handIn is SubmitTransaction, in a request with others.
func (b *batcher) handIn(ctx context.Context, transaction []byte) (v1.TransactionStatus, error) {
	request, index := b.join(transaction)
	if index == 0 {
		b.send(ctx, request)
	}
	select {
	case <-request.done:
	case <-ctx.Done():
		return v1.TransactionStatus{}, context.Cause(ctx)
	}
	if request.err != nil {
		return v1.TransactionStatus{}, request.err
	}
	return request.answers[index].Status, request.answers[index].Err
}

// join adds a transaction to a request, and returns its place there. Who is the first makes the request.
func (b *batcher) join(transaction []byte) (*handedIn, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := v1.BatchRoom(len(transaction))
	if b.open != nil && (len(b.open.list) == v1.MaxBatch || b.open.bytes+room > v1.MaxBatchBytes) {
		close(b.open.full)
		b.open = nil
	}
	if b.open == nil {
		b.open = &handedIn{full: make(chan struct{}), done: make(chan struct{})}
	}
	request := b.open
	request.list, request.bytes = append(request.list, transaction), request.bytes+room
	return request, len(request.list) - 1
}

// send makes a request when others have had time to join.
func (b *batcher) send(ctx context.Context, request *handedIn) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-request.full:
	case <-ctx.Done():
	}
	b.mu.Lock()
	if b.open == request {
		b.open = nil
	}
	b.mu.Unlock()
	request.answers, request.err = b.submit(ctx, request.list)
	close(request.done)
}
