package api

import (
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// closeCounter is a connection that only counts how often it was closed.
type closeCounter struct {
	net.Conn
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestSurplusConnectionsAreClosed(t *testing.T) {
	s := &Server{logger: slog.New(slog.DiscardHandler)}
	conn := &closeCounter{}
	for range maxConnections {
		s.track(conn, http.StateNew)
	}
	if conn.closed != 0 {
		t.Fatalf("%d connections within the limit were closed", conn.closed)
	}
	s.track(conn, http.StateNew)
	if conn.closed != 1 {
		t.Errorf("%d connections over the limit were closed, want 1", conn.closed)
	}
	for range 2 {
		s.track(conn, http.StateActive)
		s.track(conn, http.StateClosed)
	}
	s.track(conn, http.StateNew)
	if conn.closed != 1 {
		t.Error("a connection within the limit was closed after others had ended")
	}
	for range maxConnections {
		s.track(conn, http.StateClosed)
	}
	s.connections.Wait()
}
