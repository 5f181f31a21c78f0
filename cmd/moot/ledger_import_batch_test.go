package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// echo answers each transaction with its own first byte as height, and refuses those of one byte.
func echo(requests *[][][]byte) func(context.Context, [][]byte) ([]client.Submitted, error) {
	var mu sync.Mutex
	return func(_ context.Context, list [][]byte) ([]client.Submitted, error) {
		mu.Lock()
		defer mu.Unlock()
		*requests = append(*requests, list)
		answers := make([]client.Submitted, len(list))
		for i, one := range list {
			answers[i].Status.Height = int64(one[0])
			if len(one) == 1 {
				answers[i].Err = errors.New("refused")
			}
		}
		return answers, nil
	}
}

// TestBatcher: what comes at the same time goes in one request, and each gets its own answer.
func TestBatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests [][][]byte
		b := &batcher{submit: echo(&requests)}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				transaction := make([]byte, 1+i%2)
				transaction[0] = byte(i)
				status, err := b.handIn(t.Context(), transaction)
				if status.Height != int64(i) || (err != nil) != (i%2 == 0) {
					t.Errorf("transaction %d: %+v, %v", i, status, err)
				}
			})
		}
		all.Wait()
		if len(requests) != 1 {
			t.Errorf("%d requests, want 1", len(requests))
		}
	})
}

// TestBatcherBounds: a request is no larger than a node takes.
func TestBatcherBounds(t *testing.T) {
	for _, size := range []int{2, v1.MaxTransaction} {
		synctest.Test(t, func(t *testing.T) {
			var requests [][][]byte
			b := &batcher{submit: echo(&requests)}
			var all sync.WaitGroup
			number := min(v1.MaxBatch, v1.MaxBatchBytes/v1.BatchRoom(size)) + 1
			for range number {
				all.Go(func() {
					if _, err := b.handIn(t.Context(), make([]byte, size)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if len(requests) != 2 || len(requests[0])+len(requests[1]) != number {
				t.Errorf("%d requests for %d transactions of %d bytes, want 2", len(requests), number, size)
			}
		})
	}
}

// TestBatcherFails: what goes wrong with a request is told to all in it, and who gives up does not wait.
func TestBatcherFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("the connection was lost")
		b := &batcher{submit: func(ctx context.Context, _ [][]byte) ([]client.Submitted, error) { return nil, lost }}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := b.handIn(t.Context(), []byte{1}); !errors.Is(err, lost) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		slow := &batcher{submit: func(ctx context.Context, _ [][]byte) ([]client.Submitted, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		for range 3 {
			all.Go(func() {
				if _, err := slow.handIn(ctx, []byte{1}); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
	})
}
