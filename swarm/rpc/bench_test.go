//go:build unix

package rpc

import (
	"context"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	benchRequest  = 64
	benchResponse = 256
)

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchCalls makes b.N calls from several goroutines and reports the CPU time of both sides together for each.
func benchCalls(b *testing.B, callers int, call func() error) {
	if err := call(); err != nil { // connects
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for range (b.N + w) / callers {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}

var benchLoads = []struct {
	name    string
	callers int
}{{"1", 1}, {"16", 16}, {"64", 64}, {"256", 256}}

func BenchmarkCall(b *testing.B) {
	for _, transport := range []struct{ name, listen string }{{"tcp", loopTCP}, {"quic", loopQUIC}} {
		for _, load := range benchLoads {
			b.Run(transport.name+"/callers="+load.name, func(b *testing.B) {
				h1, h2 := newPair(b, transport.listen)
				answer := make([]byte, benchResponse)
				newServer(b, ServerConfig{Host: h2, Handler: func(context.Context, peer.ID, []byte) ([]byte, error) { return answer, nil }})
				c := newClient(b, ClientConfig{Host: h1})
				request := make([]byte, benchRequest)
				benchCalls(b, load.callers, func() error {
					_, err := c.Call(b.Context(), h2.ID(), request)
					return err
				})
			})
		}
	}
}

// BenchmarkStreamPerRequest is what Call is compared with.
func BenchmarkStreamPerRequest(b *testing.B) {
	for _, load := range benchLoads[:3] {
		b.Run("tcp/callers="+load.name, func(b *testing.B) {
			h1, h2 := newPair(b, loopTCP)
			answer := make([]byte, benchResponse)
			h2.SetStreamHandler(testProtocol, func(s network.Stream) {
				defer s.Close()
				if _, err := io.ReadFull(s, make([]byte, benchRequest)); err == nil {
					s.Write(answer)
				}
			})
			request := make([]byte, benchRequest)
			benchCalls(b, load.callers, func() error {
				s, err := h1.NewStream(b.Context(), h2.ID(), testProtocol)
				if err != nil {
					return err
				}
				defer s.Close()
				if _, err := s.Write(request); err != nil {
					return err
				}
				_, err = io.ReadFull(s, make([]byte, benchResponse))
				return err
			})
		})
	}
}
