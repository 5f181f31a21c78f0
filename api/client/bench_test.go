package client_test

import (
	"bytes"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
)

// benchmarkCallers is how many calls per processor are under way at once.
const benchmarkCallers = 32

// BenchmarkCalls measures what HTTP, client and server in one process, adds to a backend that answers from memory.
func BenchmarkCalls(b *testing.B) {
	c := newClient(b, serve(b, api.Config{Backend: apitest.NewBackend(nil)}), client.Options{})
	value := bytes.Repeat([]byte("v"), 256)
	if _, err := c.PutRecord(b.Context(), "k", value, client.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"Get": func() error { _, err := c.GetRecord(b.Context(), "k", client.GetOptions{}); return err },
		"Put": func() error { _, err := c.PutRecord(b.Context(), "k", value, client.PutOptions{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(benchmarkCallers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := f(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
