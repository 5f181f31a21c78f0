package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
)

// A Check says whether a message of a standing topic, its data without the header, is passed on and taken in. An error that is fault.Invalid counts against whoever passed it on; any other just stops it. It must not block.
type Check func(author peer.ID, data []byte) error

// standing is a topic of the program's own: every peer passes it on as soon as gossipsub runs.
type standing struct {
	check Check
	take  func(Message)
}

// Service publishes and subscribes. Its methods may be called from many goroutines.
type Service struct {
	cfg       Config
	prefix    string
	logger    *slog.Logger
	meter     *meter
	announced *announced
	authors   *allowances
	near      *allowances // of neighbours
	carried   carried
	exchanged *rate.Limiter // connections to peers that neighbours named

	ctx    context.Context // gossipsub's
	cancel context.CancelFunc
	tasks  sync.WaitGroup // one for each inbound stream and each topic; nothing is added once closed

	mu       sync.Mutex
	standing map[string]standing         // guarded by mu; by name
	gossip   *gossipsub.PubSub           // guarded by mu; nil while it sleeps
	awake    time.Time                   // guarded by mu; since when it doesn't
	serve    network.StreamHandler       // guarded by mu; gossipsub's
	topics   map[string]*topic           // guarded by mu; those followed, by name
	subs     int                         // guarded by mu; subscriptions of all topics
	streams  map[network.Stream]struct{} // guarded by mu; inbound
	closed   bool                        // guarded by mu
}

// New returns a service that sleeps until it is used. Close ends it.
func New(cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		cfg: cfg, prefix: topicPrefix(cfg.Network), logger: cfg.Logger, carried: newCarried(), exchanged: rate.NewLimiter(exchangeRate, exchangeBurst),
		authors:  newAllowances(authorRate, authorBurst, authorBytes, authorBytesBurst),
		near:     newAllowances(neighbourRate, neighbourBurst, neighbourBytes, neighbourBytesBurst),
		standing: make(map[string]standing), topics: make(map[string]*topic), streams: make(map[network.Stream]struct{}),
	}
	s.announced = newAnnounced(s.prefix, s.carried.hear)
	s.meter = newMeter(s.announced.meet, s.announced.forget, s.rejected)
	if err := s.meter.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("register the metrics of publish and subscribe: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	cfg.Host.SetStreamHandler(Protocol(cfg.Network), s.accept)
	return s, nil
}

// Handle has every message of a topic of the program's own checked, passed on and handed to take, which must not block, as soon as gossipsub runs.
func (s *Service) Handle(name string, check Check, take func(Message)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing[name] = standing{check, take}
	if s.gossip == nil {
		return nil
	}
	_, err := s.follow(name)
	return err
}

// Awake reports whether gossipsub runs.
func (s *Service) Awake() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gossip != nil
}

// Close ends every subscription and leaves the gossip.
func (s *Service) Close() error {
	streams, topics := s.shut()
	if topics == nil {
		return nil
	}
	s.cfg.Host.RemoveStreamHandler(Protocol(s.cfg.Network))
	s.cancel()
	for _, stream := range streams {
		stream.Reset()
	}
	for _, t := range topics {
		t.end()
	}
	s.tasks.Wait()
	s.meter.unregister(s.cfg.Registerer)
	return nil
}

// shut refuses everything from now on, and returns what is open; nothing when it was shut before.
func (s *Service) shut() ([]network.Stream, []*topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	s.closed = true
	return slices.Collect(maps.Keys(s.streams)), append(make([]*topic, 0, len(s.topics)), slices.Collect(maps.Values(s.topics))...)
}

var errClosed = fault.New(fault.Unavailable, "publish and subscribe have ended: the node stops")

// wake has gossipsub run. mu is held.
func (s *Service) wake() error {
	switch {
	case s.closed:
		return errClosed
	case s.gossip != nil:
		return nil
	}
	gossip, err := gossipsub.NewGossipSub(s.ctx, &doorkeeper{Host: s.cfg.Host, service: s}, s.options()...)
	if err != nil {
		return fmt.Errorf("start gossipsub: %w", err)
	}
	s.gossip, s.awake = gossip, time.Now()
	for name := range s.standing {
		if _, err := s.follow(name); err != nil {
			return fmt.Errorf("follow the topic %s: %w", name, err)
		}
	}
	s.logger.Debug("gossip begins")
	return nil
}

func (s *Service) options() []gossipsub.Option {
	score, thresholds := scoreParams(s.near.offences)
	params := gossipsub.DefaultGossipSubParams()
	params.HeartbeatInitialDelay = 100 * time.Millisecond
	id := Protocol(s.cfg.Network)
	return []gossipsub.Option{
		gossipsub.WithGossipSubParams(params),
		gossipsub.WithGossipSubProtocols([]protocol.ID{id}, func(f gossipsub.GossipSubFeature, p protocol.ID) bool {
			return p == id && f != gossipsub.GossipSubFeatureExtensions
		}),
		gossipsub.WithMessageSignaturePolicy(gossipsub.StrictSign),
		gossipsub.WithMaxMessageSize(maxRPC),
		gossipsub.WithPeerOutboundQueueSize(outboundQueue),
		gossipsub.WithSeenMessagesTTL(seenFor),
		gossipsub.WithPeerExchange(true),
		gossipsub.WithFloodPublish(true),
		gossipsub.WithPeerScore(score, thresholds),
		gossipsub.WithSubscriptionFilter(s.announced),
		gossipsub.WithDefaultValidator(gossipsub.ValidatorEx(s.validate), gossipsub.WithValidatorInline(true)),
		gossipsub.WithAppSpecificRpcInspector(s.inspect),
		gossipsub.WithRawTracer(s.meter),
		gossipsub.WithLogger(slog.New(slog.DiscardHandler)),
		gossipsub.WithRPCLogger(slog.New(slog.DiscardHandler)),
	}
}

// doorkeeper is the host that gossipsub sees. It keeps gossipsub's handler for the service, which lets streams in.
type doorkeeper struct {
	host.Host
	service *Service
}

// SetStreamHandler is called by gossipsub while the service wakes it, under its mu.
func (d *doorkeeper) SetStreamHandler(_ protocol.ID, h network.StreamHandler) { d.service.serve = h }

// Connect is gossipsub's way to the peers that a neighbour names which has no room for this node in its mesh. Where they are is what this node knows, not what the neighbour says: who names others must not be able to have
// everybody dial an address of its choice, nor to lead this node to peers of its making.
func (d *doorkeeper) Connect(ctx context.Context, told peer.AddrInfo) error {
	s := d.service
	var addrs []ma.Multiaddr
	if s.cfg.Known != nil {
		addrs = s.cfg.Known(told.ID)
	}
	switch {
	case len(addrs) == 0:
		return fault.New(fault.Forbidden, "a neighbour named %s, which is not known here", told.ID)
	case !s.exchanged.Allow():
		return fault.New(fault.Full, "neighbours named more than %d peers a second", exchangeRate)
	}
	return d.Host.Connect(ctx, peer.AddrInfo{ID: told.ID, Addrs: addrs})
}

// accept lets a neighbour's stream in, for which gossipsub wakes, once the neighbour has taken gossipsub's; libp2p calls it in a goroutine of its own.
func (s *Service) accept(stream network.Stream) {
	serve, err := s.admit(stream)
	if err != nil {
		s.logger.Debug("gossip stream refused", "peer", stream.Conn().RemotePeer(), "error", err)
		stream.Reset()
		return
	}
	defer s.tasks.Done()
	defer s.dismiss(stream)
	ctx, cancel := context.WithTimeout(s.ctx, openTime)
	defer cancel()
	if err := s.announced.await(ctx, stream.Conn().RemotePeer()); err != nil {
		s.logger.Debug("gossip stream refused: the peer takes none of this node's", "peer", stream.Conn().RemotePeer(), "error", err)
		stream.Reset()
		return
	}
	serve(stream)
}

func (s *Service) admit(stream network.Stream) (network.StreamHandler, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.wake(); err != nil {
		return nil, err
	}
	s.streams[stream] = struct{}{}
	s.tasks.Add(1)
	return s.serve, nil
}

func (s *Service) dismiss(stream network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, stream)
}

// inspect refuses what a neighbour sends beyond its allowance. gossipsub calls it before it looks at anything.
func (s *Service) inspect(from peer.ID, rpc *gossipsub.RPC) error {
	if s.near.offences(from) >= maxOffences {
		return fault.New(fault.Forbidden, "%s is not listened to", from)
	}
	if !s.near.take(from, rpc.Size()) {
		return fault.New(fault.Forbidden, "%s sends too much", from)
	}
	return nil
}

// rejected is told of messages that were not accepted, and why. Only what no peer that keeps to the protocol sends or passes on is held against the neighbour.
func (s *Service) rejected(from peer.ID, reason string) {
	switch reason {
	case gossipsub.RejectValidationFailed, gossipsub.RejectInvalidSignature, gossipsub.RejectMissingSignature, gossipsub.RejectUnexpectedAuthInfo:
		s.near.blame(from, invalidOffence)
	}
}

// validate says whether a message, whose signature is right, is passed on and delivered.
func (s *Service) validate(_ context.Context, _ peer.ID, m *gossipsub.Message) gossipsub.ValidationResult {
	name, ours := strings.CutPrefix(m.GetTopic(), s.prefix)
	published, data, err := decodeMessage(m.GetData())
	if !ours || err != nil {
		return gossipsub.ValidationReject
	}
	author := m.GetFrom()
	if age := time.Since(published); age > maxSkew || age < -maxSkew {
		return gossipsub.ValidationIgnore
	}
	if s.cfg.Admits != nil && !s.cfg.Admits(author) {
		return gossipsub.ValidationIgnore
	}
	if author != s.cfg.Host.ID() && !s.authors.take(author, len(m.GetData())) {
		return gossipsub.ValidationIgnore
	}
	s.mu.Lock()
	own, ok := s.standing[name]
	s.mu.Unlock()
	if !ok {
		return gossipsub.ValidationAccept
	}
	switch err := own.check(author, data); {
	case err == nil:
		return gossipsub.ValidationAccept
	case fault.KindOf(err) == fault.Invalid:
		return gossipsub.ValidationReject
	}
	return gossipsub.ValidationIgnore
}
