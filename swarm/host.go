package swarm

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"syscall"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/machine"
)

// NewHost makes a host that listens and answers identify and ping. It dials TCP, QUIC, WebSocket, WebTransport and WebRTC-direct addresses,
// and secures connections with TLS 1.3 or Noise. extra is appended to libp2p's options; it is for simulated links only. Closing the host
// releases everything.
//
// An error is fault.Invalid when the configuration or the machine's limits rule a host out, and fault.Conflict when a port is in use.
func NewHost(cfg Config, extra ...libp2p.Option) (host.Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l, err := newLimits(cfg.MaxConnections, machine.Memory(), descriptorLimit())
	if err != nil {
		return nil, err
	}
	counted := new(traffic)
	if cfg.Registerer != nil {
		extra = append(slices.Clone(extra), libp2p.BandwidthReporter(counted))
	}
	h, err := build(&cfg, l, extra)
	if err != nil {
		return nil, err
	}
	h.Network().Notify(lateRefusals(cfg.Gate))
	if err := listenWith(h, &cfg); err != nil {
		h.Close()
		return nil, err
	}
	if cfg.Registerer == nil {
		return h, nil
	}
	c := newCollector(h.Network(), counted)
	if err := cfg.Registerer.Register(c); err != nil {
		h.Close()
		return nil, fmt.Errorf("register the swarm's metrics: %w", err)
	}
	return &measured{Host: h, registerer: cfg.Registerer, collector: c}, nil
}

// lateRefusals closes connections of those that the gate has ceased to admit since it was last asked, before the connection was there to be closed by who parts from them.
func lateRefusals(gate Gate) network.Notifiee {
	return &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if gate.AdmitPeer(c.RemotePeer(), c.RemoteMultiaddr(), c.Stat().Direction) != nil {
			_ = c.CloseWithError(network.ConnGated)
		}
	}}
}

// IDService returns the part of a host made by NewHost that identifies peers, or nil where the host is another.
func IDService(h host.Host) identify.IDService {
	if m, ok := h.(*measured); ok {
		h = m.Host
	}
	if i, ok := h.(interface{ IDService() identify.IDService }); ok {
		return i.IDService()
	}
	return nil
}

// measured is a host whose metrics are registered until it is closed.
type measured struct {
	host.Host
	registerer prometheus.Registerer
	collector  prometheus.Collector
}

// Close closes the host.
func (m *measured) Close() error {
	m.registerer.Unregister(m.collector)
	return m.Host.Close()
}

// build makes a host that does not listen yet.
func build(cfg *Config, l limits, extra []libp2p.Option) (host.Host, error) {
	rm, err := l.resourceManager()
	if err != nil {
		return nil, err
	}
	cm, err := l.connectionManager()
	if err != nil {
		rm.Close()
		return nil, err
	}
	h, err := libp2p.New(slices.Concat(options(cfg, rm, cm), traversalOptions(cfg), extra)...)
	if err != nil {
		rm.Close()
		cm.Close()
		return nil, fmt.Errorf("make the libp2p host: %w", err)
	}
	return h, nil
}

// options returns libp2p's options. Left out are libp2p's own metrics, and its own ways of finding out whether the node can be reached and by which addresses, which are made for large public networks:
// they wait for four observers, and leave private addresses out. Package nat does that.
func options(cfg *Config, rm network.ResourceManager, cm connmgr.ConnManager) []libp2p.Option {
	return append(transportOptions(cfg),
		libp2p.Identity(cfg.Key),
		libp2p.UserAgent(cfg.UserAgent),
		libp2p.ProtocolVersion(string(cfg.Network.Protocol("swarm/1"))),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		muxers(cfg),
		libp2p.NoListenAddrs, // listen does it, address by address
		libp2p.AddrsFactory(announcing(cfg.Announce, cfg.Traversal)),
		libp2p.ConnectionGater(gater{gate: cfg.Gate, receives: cfg.Reception != nil, logger: cfg.Logger}),
		libp2p.ResourceManager(rm),
		libp2p.ConnectionManager(cm),
		libp2p.SwarmOpts(libp2pswarm.WithDialRanker(rankTCPFirst)),
		libp2p.ForceReachabilityPublic(), // it looks for itself otherwise
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
	)
}

// muxers returns the option for what has many streams on one connection: libp2p's own choice.
func muxers(cfg *Config) libp2p.Option {
	if cfg.Reception == nil {
		return libp2p.DefaultMuxers
	}
	return libp2p.Muxer(yamux.ID, frugalMuxer{yamux.DefaultTransport, cfg.Gate})
}

// traversalOptions returns libp2p's options for ways through NATs.
func traversalOptions(cfg *Config) []libp2p.Option {
	opts := []libp2p.Option{libp2p.DisableRelay()}
	if cfg.Traversal != nil {
		opts[0] = libp2p.EnableRelay() // a host made with NoListenAddrs has none otherwise
	}
	if cfg.PortMap {
		opts = append(opts, libp2p.NATPortMap())
	}
	return opts
}

// addrListener is a network that tells why it cannot listen on an address; libp2p's Listen is content when one of several works.
type addrListener interface {
	AddListenAddr(ma.Multiaddr) error
}

func listenWith(h host.Host, cfg *Config) error {
	n, ok := h.Network().(addrListener)
	if !ok {
		return fmt.Errorf("listen: %T does not take single addresses", h.Network())
	}
	if len(cfg.Listen) == 0 {
		return listen(n, DefaultListen(DefaultPort), true, cfg.Logger)
	}
	return listen(n, cfg.Listen, false, cfg.Logger)
}

// listen listens on the given addresses. If they are optional, all but one may fail, as IPv6 does on machines without it, though not because
// a port is taken.
func listen(n addrListener, addrs []ma.Multiaddr, optional bool, logger *slog.Logger) error {
	var failed []error
	for _, a := range inListenOrder(addrs) {
		err := n.AddListenAddr(a)
		if err == nil {
			continue
		}
		err = listenError(a, err)
		if !optional || fault.KindOf(err) == fault.Conflict {
			return err
		}
		logger.Debug("address left out", "address", a, "error", err)
		failed = append(failed, err)
	}
	if len(failed) == len(addrs) {
		return errors.Join(failed...)
	}
	return nil
}

// inListenOrder puts WebRTC last: it shares a port with QUIC only when that is there already.
func inListenOrder(addrs []ma.Multiaddr) []ma.Multiaddr {
	order := func(a ma.Multiaddr) int {
		if TransportOf(a) == "webrtc-direct" {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(addrs), func(a, b ma.Multiaddr) int { return order(a) - order(b) })
}

// listenError says why an address cannot be listened on, and what to do.
func listenError(a ma.Multiaddr, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s (--listen): %w", a, err)
	}
	port, kind := "", ""
	for _, p := range []int{ma.P_TCP, ma.P_UDP} {
		if v, err := a.ValueForProtocol(p); err == nil {
			port, kind = v, ma.ProtocolWithCode(p).Name
		}
	}
	return fault.New(fault.Conflict, "listen on %s: %s port %s is in use; choose another with --listen: %w", a, kind, port, err)
}
