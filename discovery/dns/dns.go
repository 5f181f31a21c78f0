// Package dns finds the peers behind DNS names, such as those of a Kubernetes headless Service: one A or AAAA answer for
// each pod. The names are polled, so that pods that come, go or change their address are followed.
package dns

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery/internal/backoff"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// DefaultInterval is the time between polls of a name.
	DefaultInterval = 5 * time.Second
	// RepeatInterval is the time after which an address that is still there is reported again.
	RepeatInterval = 30 * time.Second
	// LookupTimeout bounds one poll of a name.
	LookupTimeout = 4 * time.Second
	// MaxNames is how many names a node may poll.
	MaxNames = 16
	// MaxAnswers is how many addresses of one poll of a name are used. Servers rotate their answers, so that
	// others have their turn at the next poll.
	MaxAnswers = 256
	// MaxTargets is how many SRV targets of one poll are resolved.
	MaxTargets = 64
)

// Resolver is what is used of *net.Resolver.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Config says what to poll.
type Config struct {
	// Names are what ParseName reads, 1 to MaxNames.
	Names []string
	// Resolver may be nil: net.DefaultResolver.
	Resolver Resolver
	// Interval is the time between polls; 0 means DefaultInterval.
	Interval time.Duration
	// Logger may be nil.
	Logger *slog.Logger
}

// Validate returns a fault.Invalid error if the configuration can't be used.
func (cfg *Config) Validate() error {
	if len(cfg.Names) == 0 || len(cfg.Names) > MaxNames {
		return fault.New(fault.Invalid, "%d DNS names, want 1 to %d", len(cfg.Names), MaxNames)
	}
	if cfg.Interval < 0 {
		return fault.New(fault.Invalid, "DNS: the interval %v is negative", cfg.Interval)
	}
	for _, s := range cfg.Names {
		if _, err := ParseName(s); err != nil {
			return err
		}
	}
	return nil
}

// Finder polls names.
type Finder struct {
	names    []Name
	resolver Resolver
	interval time.Duration
	log      *slog.Logger
}

// New returns a finder of the peers behind the names of cfg.
func New(cfg Config) (*Finder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Finder{resolver: cfg.Resolver, interval: cfg.Interval, log: cfg.Logger}
	for _, s := range cfg.Names {
		n, err := ParseName(s)
		if err != nil {
			return nil, err
		}
		f.names = append(f.names, n)
	}
	if f.resolver == nil {
		f.resolver = net.DefaultResolver
	}
	if f.interval == 0 {
		f.interval = DefaultInterval
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// Name returns "dns".
func (f *Finder) Name() string { return "dns" }

// Find polls until ctx ends; new addresses are reported at once, those that stay every RepeatInterval. See
// discovery.Finder.
func (f *Finder) Find(ctx context.Context, found func(peer.AddrInfo)) error {
	var wg sync.WaitGroup
	for _, n := range f.names {
		wg.Go(func() { f.poll(ctx, n, found) })
	}
	wg.Wait()
	return nil
}

func (f *Finder) poll(ctx context.Context, n Name, found func(peer.AddrInfo)) {
	var answers seen
	for ctx.Err() == nil {
		addrs, _ := f.lookup(ctx, n) // the log has why there are none
		for _, a := range answers.due(addrs, time.Now()) {
			if ctx.Err() == nil {
				found(peer.AddrInfo{Addrs: []ma.Multiaddr{multiaddr(a)}})
			}
		}
		backoff.Sleep(ctx, f.interval)
	}
}

// seen remembers when each address of the last poll was reported; it is as bounded as the poll's answers.
type seen map[netip.AddrPort]time.Time

// due returns which of the addresses of a poll are to be reported, and takes them for reported. What is not among them is
// forgotten, and so is new when it comes back.
func (s *seen) due(addrs []netip.AddrPort, now time.Time) []netip.AddrPort {
	var due []netip.AddrPort
	next := make(seen, len(addrs))
	for _, a := range addrs {
		reported, known := (*s)[a]
		if !known || now.Sub(reported) >= RepeatInterval {
			due = append(due, a)
			reported = now
		}
		next[a] = reported
	}
	*s = next
	return due
}
