package load

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

// targets are the addresses that one caller asks, one until it fails and then the next. Connections are the caller's own, as those of a program would be.
type targets struct {
	urls    []string
	clients []*client.Client
	current int
}

// newTargets returns the targets of a caller that begins with the one of the given number.
func newTargets(cfg *Config, first int) (*targets, error) {
	t := &targets{urls: cfg.Targets, current: first % len(cfg.Targets)}
	for _, url := range cfg.Targets {
		c, err := newClient(cfg, url)
		if err != nil {
			return nil, err
		}
		t.clients = append(t.clients, c)
	}
	return t, nil
}

func newClient(cfg *Config, url string) (*client.Client, error) {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		// What waits for the connection may be gone before it is there.
		ctx, cancel := context.WithTimeout(ctx, cfg.AttemptTimeout)
		defer cancel()
		return cfg.DialContext(ctx, network, addr)
	}
	return client.New(url, client.Options{Token: cfg.Token, UserAgent: "moot-load", HTTPClient: &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
}

// client returns the target to ask, with its URL.
func (t *targets) client() (*client.Client, string) { return t.clients[t.current], t.urls[t.current] }

// failed goes on to the next target. The connections to this one may be to a machine that is gone.
func (t *targets) failed() {
	t.clients[t.current].Close()
	t.current = (t.current + 1) % len(t.clients)
}

func (t *targets) close() {
	for _, c := range t.clients {
		c.Close()
	}
}

// Sorts of failures besides those that a node answers, which have the names of their fault.Kind.
const (
	failedLate    = "no answer in time"
	failedRefused = "connection refused"
	failedLost    = "connection lost"
)

// sortOf sorts the error of an attempt, whose context is ctx. A node's own answer has no cause in the network.
func sortOf(ctx context.Context, err error) string {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case ctx.Err() != nil, ok && timeout.Timeout():
		return failedLate
	case errors.Is(err, syscall.ECONNREFUSED):
		return failedRefused
	case errors.Unwrap(errors.Unwrap(err)) != nil:
		return failedLost
	}
	return fault.KindOf(err).String()
}

// hopeless reports whether no other target would do better.
func hopeless(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge, fault.Forbidden, fault.NotFound, fault.Conflict:
		return true
	}
	return false
}
