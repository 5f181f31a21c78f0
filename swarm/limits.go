package swarm

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/folkmoot/folkmoot/fault"
)

const (
	// memoryShare is the part of the memory that connections and what they buffer may take: one in so many.
	memoryShare = 8
	// minMemory and fallbackMemory are that part at least, and where the machine's memory is not known.
	minMemory      = 64 << 20
	fallbackMemory = 128 << 20
	// descriptorShare is the part of the file descriptors that connections may take; the store needs the others.
	descriptorShare = 2
	// fallbackDescriptors stands for the limit where the system has none.
	fallbackDescriptors = 8192
	// connectionMemory is what a connection is reckoned to take of the memory.
	connectionMemory = 256 << 10
	// maxAutoConnections is the most that the machine's size leads to; who wants more says so.
	maxAutoConnections = 8192

	// streamsPerConnection is the average number of streams over all connections.
	streamsPerConnection = 16
	// protocolStreams is the average number of streams of one protocol on each connection, for any protocol.
	protocolStreams = 4
	// pingsPerPeer is how many streams for pings a peer may have open in each direction. libp2p's own limit of 2 makes pings fail that follow one another
	// closely, since a stream that was reset counts until the reset arrives.
	pingsPerPeer = 32
	// MaxCircuits is how many relayed connections a node carries for others at once, and MaxCircuitsPerPeer how many of them may begin or end at one peer.
	MaxCircuits        = 1024
	MaxCircuitsPerPeer = 256
	// CircuitBuffer is the memory for each direction of a relayed connection, in bytes.
	CircuitBuffer = 16 << 10
	// minTransient is how many connections may be in their handshakes at least.
	minTransient = 64
	// gracePeriod is how long a new connection is safe from being trimmed.
	gracePeriod = 30 * time.Second
	// reconnectTime is the time in which all peers of one address may connect anew, beyond a first burst of the same number.
	reconnectTime = time.Minute
)

// Parts of MaxConnections, in percent.
const (
	// inboundPercent may be opened by others, so that the node can always open some.
	inboundPercent = 85
	// transientPercent may be in their handshakes.
	transientPercent = 25
	// subnetPercent may come from one IPv4 address or IPv6 /64. It is large because whole clusters are seen from outside
	// with one address, and because peers of a private network know one another; libp2p's own limit is 8.
	subnetPercent = 75
	// When there are more than highPercent, connections are trimmed to lowPercent.
	highPercent = 80
	lowPercent  = 70
)

// limits is what the host may use.
type limits struct {
	connections int
	memory      int64
	descriptors int
}

// newLimits derives limits from a machine's memory in bytes (0: unknown) and file descriptors. connections is 0 or what was asked for.
func newLimits(connections int, memory int64, descriptors int) (limits, error) {
	l := limits{connections: connections, memory: fallbackMemory, descriptors: descriptors / descriptorShare}
	if memory > 0 {
		l.memory = max(memory/memoryShare, minMemory)
	}
	if connections == 0 {
		l.connections = int(min(l.memory/connectionMemory, int64(l.descriptors), maxAutoConnections))
	}
	if l.connections < MinConnections || l.connections > l.descriptors {
		return limits{}, fault.New(fault.Invalid, "%d connections need %d file descriptors, the limit is %d: raise it (ulimit -n) or allow fewer connections",
			max(l.connections, MinConnections), max(l.connections, MinConnections)*descriptorShare, descriptors)
	}
	return l, nil
}

// percent returns the given part of the connections, at least 1.
func (l limits) percent(p int) int { return max(1, l.connections*p/100) }

// resourceManager returns a resource manager that enforces the limits. Its metrics and traces are off: they cost more than what they count.
func (l limits) resourceManager() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	concrete := l.partial().Build(scaling.Scale(l.memory, l.descriptors))
	perSubnet := l.percent(subnetPercent)
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(concrete),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: perSubnet}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 64, ConnCount: perSubnet}}),
		rcmgr.WithConnRateLimiters(rateLimiter(perSubnet)))
	if err != nil {
		return nil, fmt.Errorf("make the resource manager: %w", err)
	}
	return rm, nil
}

// partial sets what follows from the number of connections; the rest scales with the memory as libp2p has it.
func (l limits) partial() rcmgr.PartialLimitConfig {
	streams := func(each int) rcmgr.ResourceLimits {
		n := rcmgr.LimitVal(l.connections * each)
		return rcmgr.ResourceLimits{Streams: n, StreamsInbound: n, StreamsOutbound: n}
	}
	system := streams(streamsPerConnection)
	system.Conns = rcmgr.LimitVal(l.connections)
	system.ConnsInbound = rcmgr.LimitVal(l.percent(inboundPercent))
	system.ConnsOutbound = rcmgr.LimitVal(l.connections)
	system.FD = rcmgr.LimitVal(l.descriptors)
	system.Memory = rcmgr.LimitVal64(l.memory)

	handshakes := rcmgr.LimitVal(max(l.percent(transientPercent), minTransient))
	transient := streams(1)
	transient.Conns, transient.ConnsInbound, transient.ConnsOutbound, transient.FD = handshakes, handshakes, handshakes, handshakes

	pings := rcmgr.ResourceLimits{Streams: 2 * pingsPerPeer, StreamsInbound: pingsPerPeer, StreamsOutbound: pingsPerPeer}
	// Each circuit has a stream to either end. Requests that are refused come on top.
	circuits := rcmgr.ResourceLimits{Streams: 4 * MaxCircuits, StreamsInbound: 2 * MaxCircuits, StreamsOutbound: 2 * MaxCircuits, Memory: 4 * MaxCircuits * CircuitBuffer}
	circuitsOfPeer := rcmgr.ResourceLimits{Streams: 4 * MaxCircuitsPerPeer, StreamsInbound: 2 * MaxCircuitsPerPeer, StreamsOutbound: 2 * MaxCircuitsPerPeer,
		Memory: 4 * MaxCircuitsPerPeer * CircuitBuffer}
	return rcmgr.PartialLimitConfig{
		System:          system,
		Transient:       transient,
		ProtocolDefault: streams(protocolStreams),
		ServiceDefault:  streams(protocolStreams),
		// All connections may be identified at once, as after a restart.
		Service: map[string]rcmgr.ResourceLimits{identify.ServiceName: streams(2), ping.ServiceName: streams(1), relay.ServiceName: circuits},
		Protocol: map[protocol.ID]rcmgr.ResourceLimits{
			identify.ID: streams(1), identify.IDPush: streams(1), ping.ID: streams(1),
			proto.ProtoIDv2Hop: circuits, proto.ProtoIDv2Stop: circuits,
		},
		ServicePeer: map[string]rcmgr.ResourceLimits{ping.ServiceName: pings, relay.ServiceName: circuitsOfPeer},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{
			ping.ID: pings, proto.ProtoIDv2Hop: circuitsOfPeer, proto.ProtoIDv2Stop: circuitsOfPeer,
		},
	}
}

// rateLimiter bounds how fast connections may come from one address, so that all its peers can come back at once after
// a restart. Those of this machine are not bound.
func rateLimiter(perSubnet int) *rate.Limiter {
	limit := rate.Limit{RPS: float64(perSubnet) / reconnectTime.Seconds(), Burst: perSubnet}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: limit}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: limit}},
			GracePeriod:      reconnectTime,
		},
	}
}

// connectionManager returns what closes the least useful connections when there are many.
func (l limits) connectionManager() (*connmgr.BasicConnMgr, error) {
	cm, err := connmgr.NewConnManager(l.percent(lowPercent), l.percent(highPercent), connmgr.WithGracePeriod(gracePeriod))
	if err != nil {
		return nil, fmt.Errorf("make the connection manager: %w", err)
	}
	return cm, nil
}
