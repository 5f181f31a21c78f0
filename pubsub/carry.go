package pubsub

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// MeetingPeers is how many peers, those nearest to a topic, its followers meet at in a large network.
	MeetingPeers = 3
	// maxCarried is how many topics a node passes on that it does not follow.
	maxCarried = 256
	// carryInterval is how often it is looked whether that is still needed, and whether the followers still meet where they should.
	carryInterval = 30 * time.Second
	// meetTimeout bounds finding the meeting peers of a topic and connecting to them.
	meetTimeout = 5 * time.Second
	// maxAttended is how many topics that this node does not follow are looked at in an interval.
	maxAttended = 64
	// maxHeard is how many topics wait to be looked at; the others wait for the next interval.
	maxHeard = 256
)

// carried are the topics that this node passes on for others.
type carried struct {
	heard chan string // topics as on the wire, to be looked at now

	mu     *sync.Mutex
	topics map[string]func() // guarded by mu; what ends the passing on
}

func newCarried() carried {
	return carried{heard: make(chan string, maxHeard), mu: new(sync.Mutex), topics: make(map[string]func())}
}

// hear has a topic looked at soon.
func (c *carried) hear(topic string) {
	select {
	case c.heard <- topic:
	default:
	}
}

// drop ends the passing on of a topic.
func (c *carried) drop(topic string) {
	c.mu.Lock()
	end := c.topics[topic]
	delete(c.topics, topic)
	c.mu.Unlock()
	if end != nil {
		end()
	}
}

// Run has the followers of each topic meet, and passes on the topics that meet here, until ctx ends. It returns nil.
func (s *Service) Run(ctx context.Context) error {
	again := time.NewTicker(carryInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case topic := <-s.carried.heard:
			s.attend(ctx, topic)
		case <-again.C:
			for _, topic := range s.interesting() {
				s.attend(ctx, topic)
			}
		}
	}
}

// interesting returns the topics that this node follows, and after them some of those that it passes on or neighbours follow, by chance: all get their turn, and nobody takes that of the others by following many.
func (s *Service) interesting() []string {
	others := s.announced.topics()
	s.carried.mu.Lock()
	for t := range s.carried.topics {
		others[t] = struct{}{}
	}
	s.carried.mu.Unlock()
	var topics []string
	s.mu.Lock()
	for name := range s.topics {
		topics = append(topics, s.prefix+name)
		delete(others, s.prefix+name)
	}
	s.mu.Unlock()
	list := slices.Collect(maps.Keys(others))
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return append(topics, list[:min(len(list), maxAttended)]...)
}

// attend meets the followers of a topic that this node follows; any other it passes on, or no longer, as its place says.
func (s *Service) attend(ctx context.Context, topic string) {
	name := strings.TrimPrefix(topic, s.prefix)
	s.mu.Lock()
	_, follows := s.topics[name]
	_, own := s.standing[name]
	s.mu.Unlock()
	switch {
	case own: // everybody passes it on
	case follows:
		s.meet(ctx, name)
	case s.neededHere(ctx, name):
		s.carry(name)
	default:
		s.carried.drop(topic)
	}
}

// meetingPeers returns where the followers of a topic meet; none where they need not.
func (s *Service) meetingPeers(ctx context.Context, name string) []peer.AddrInfo {
	if s.cfg.Meet == nil {
		return nil
	}
	peers, err := s.cfg.Meet(ctx, name)
	if err != nil {
		s.logger.Debug("no meeting peers are found", "topic", name, "error", err)
	}
	return peers
}

// neededHere says whether the followers of a topic meet at this node. Those who pass it on are followers too, as far as gossipsub tells, and don't count.
func (s *Service) neededHere(ctx context.Context, name string) bool {
	followers := s.Followers(name)
	if len(followers) == 0 || s.cfg.Here != nil && !s.cfg.Here(name) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	here := false
	for _, p := range s.meetingPeers(ctx, name) {
		here = here || p.ID == s.cfg.Host.ID()
		followers = slices.DeleteFunc(followers, func(f peer.ID) bool { return f == p.ID })
	}
	return here && len(followers) > 0
}

// meet connects to the meeting peers of a topic, and returns when that has been tried. It reports whether some were not connected before.
func (s *Service) meet(ctx context.Context, name string) (met bool) {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	var dials sync.WaitGroup
	defer dials.Wait()
	for _, p := range s.meetingPeers(ctx, name) {
		if p.ID == s.cfg.Host.ID() || s.cfg.Host.Network().Connectedness(p.ID) == network.Connected {
			continue
		}
		met = true
		dials.Go(func() {
			if err := s.cfg.Host.Connect(ctx, p); err != nil {
				s.logger.Debug("a meeting peer is not reached", "topic", name, "peer", p.ID, "error", err)
			}
		})
	}
	return met
}

// carry passes a topic on, unless too many are already.
func (s *Service) carry(name string) {
	wire := s.prefix + name
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gossip == nil || s.closed || s.topics[name] != nil {
		return
	}
	s.carried.mu.Lock()
	defer s.carried.mu.Unlock()
	if s.carried.topics[wire] != nil || len(s.carried.topics) >= maxCarried {
		return
	}
	end, err := relay(s.gossip, wire)
	if err != nil {
		s.logger.Debug("a topic is not passed on", "topic", name, "error", err)
		return
	}
	s.carried.topics[wire] = end
}

// relay has gossipsub pass a topic on until the function returned is called.
func relay(gossip *gossipsub.PubSub, wire string) (end func(), err error) {
	t, err := gossip.Join(wire)
	if err != nil {
		return nil, err
	}
	if err := t.SetScoreParams(topicScoreParams()); err != nil {
		t.Close()
		return nil, err
	}
	stop, err := t.Relay()
	if err != nil {
		t.Close()
		return nil, err
	}
	return func() {
		stop()
		t.Close()
	}, nil
}
