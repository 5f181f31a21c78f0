package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/api/ui"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/machine"
)

// Server serves the HTTP API on one address.
type Server struct {
	listener net.Listener
	http     *http.Server
	url      string
	logger   *slog.Logger

	// stop cancels the requests in progress.
	stop context.CancelFunc
	// connections is done when every connection, and with it every request, is.
	connections sync.WaitGroup
	open        atomic.Int64
}

// NewServer listens on cfg.Listen. Requests are answered once Run is called.
func NewServer(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{logger: cfg.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	tlsConfig, err := tlsConfigOf(cfg, s.logger)
	if err != nil {
		return nil, err
	}
	if err := s.listen(cfg); err != nil {
		return nil, err
	}
	stopping, stop := context.WithCancel(context.Background())
	h, err := newHandler(stopping, cfg, s.logger)
	if err != nil {
		stop()
		return nil, errors.Join(err, s.listener.Close())
	}
	s.url = urlOf(h.guard.scheme, h.guard.listenHost, s.listener.Addr())
	if h.guard.socket {
		s.url = cfg.Listen
	}
	s.http = s.newHTTPServer(h, tlsConfig, cfg.RequestTimeout)
	s.http.RegisterOnShutdown(stop)
	return s, nil
}

func tlsConfigOf(cfg Config, logger *slog.Logger) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	cert, err := loadCertificate(cfg.TLSCert, cfg.TLSKey, logger)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}, nil
}

func newHandler(stopping context.Context, cfg Config, logger *slog.Logger) (*handler, error) {
	gatherer := cfg.Gatherer
	if gatherer == nil {
		gatherer = prometheus.NewRegistry()
	}
	mux, _, err := newMux(stopping, cfg.Backend, cfg.Ledger, gatherer, cfg.RequestTimeout+bodySlack)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	host, _, err := splitListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	server := "moot"
	if cfg.Version != "" {
		server += "/" + cfg.Version
	}
	var files *ui.Handler
	if cfg.UI != nil {
		if files, err = ui.New(cfg.UI); err != nil {
			return nil, err
		}
	}
	return &handler{
		mux: mux, guard: newGuard(&cfg, host, scheme), rates: newRates(cmp.Or(cfg.Rate, DefaultRate)), ui: files, metrics: m, tracer: cfg.Tracer, logger: logger,
		server: server, timeout: cfg.RequestTimeout, slots: make(chan struct{}, maxRequests), bodies: newBodies(machine.Memory()),
	}, nil
}

func (s *Server) listen(cfg Config) (err error) {
	if path, ok := socketPath(cfg.Listen); ok {
		if s.listener, err = listenSocket(context.Background(), path); err != nil {
			return fmt.Errorf("listen on %s (--api-listen): %w", cfg.Listen, err)
		}
		return nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New(fault.Internal, "listen on %s: another program has the address; choose one with --api-listen: %w", cfg.Listen, err)
	}
	if err != nil {
		return fault.New(fault.Internal, "listen on %s (--api-listen): %w", cfg.Listen, err)
	}
	// A machine may give the name localhost any address.
	if addr, ok := listener.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		if err := cfg.validateExposed(); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	s.listener = listener
	return nil
}

func (s *Server) newHTTPServer(h http.Handler, tlsConfig *tls.Config, timeout time.Duration) *http.Server {
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	// One protocol, one set of bounds: HTTP/2 would bring its own streams, headers and buffers to bound.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:     h,
		TLSConfig:   tlsConfig,
		Protocols:   &protocols,
		BaseContext: func(net.Listener) context.Context { return base },
		ConnState:   s.track,
		ErrorLog:    slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),

		MaxHeaderBytes:    maxHeaderRead,
		ReadHeaderTimeout: readHeaderTimeout,
		// Longer than the backend may take: when it passes, net/http takes the client for gone and cancels the request.
		ReadTimeout:  timeout + bodySlack,
		WriteTimeout: 2 * (timeout + bodySlack),
		IdleTimeout:  idleTimeout,
	}
}

// track counts connections and closes those over the limit. StateNew comes from the accepting goroutine, and StateClosed once the
// connection's handler has returned.
func (s *Server) track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
		if s.open.Add(1) > maxConnections {
			s.logger.Warn("too many connections to the API", "limit", maxConnections)
			conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
		s.connections.Done()
	}
}

// URL returns an address at which this machine reaches the server.
func (s *Server) URL() string { return s.url }

func urlOf(scheme, host string, addr net.Addr) string {
	port := "0"
	if _, p, err := net.SplitHostPort(addr.String()); err == nil {
		port = p
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.Unmap().IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Run serves until ctx ends, then lets requests finish for shutdownGrace, cancels the rest and waits for them. It
// returns nil when ctx ended or Close was called.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	select {
	case err := <-served:
		s.Close()
		s.awaitConnections()
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve the API on %s: %w", s.url, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		s.logger.Debug("requests were cut off", "error", err)
	}
	s.Close()
	<-served
	s.awaitConnections()
	return nil
}

func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// awaitConnections gives up on a backend that does not heed its context.
func (s *Server) awaitConnections() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.connections.Wait()
	}()
	timer := time.NewTimer(shutdownGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.logger.Warn("requests go on after the API has stopped", "connections", s.open.Load())
	}
}

// Close stops the server at once, whether it runs or not; a second Close does nothing.
func (s *Server) Close() error {
	s.stop()
	err := errors.Join(s.http.Close(), s.listener.Close())
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
