package pubsub

import (
	"context"
	"errors"
	"fmt"
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// topic is one that this node follows: one subscription of gossipsub, whose messages go to all of this node's.
type topic struct {
	name    string
	gossip  *gossipsub.Topic
	feed    *gossipsub.Subscription
	cancel  context.CancelFunc
	users   int                        // guarded by Service.mu; publications under way, subscriptions, and one for a standing topic
	subs    map[*Subscription]struct{} // guarded by Service.mu
	standby *standing                  // nil unless it is the program's own
}

// follow returns a topic, joined, and counts a user of it. mu is held.
func (s *Service) follow(name string) (*topic, error) {
	if t := s.topics[name]; t != nil {
		t.users++
		return t, nil
	}
	if len(s.topics) >= MaxTopics {
		return nil, fault.New(fault.Full, "topic %q: this node uses %d topics already", name, MaxTopics)
	}
	s.carried.drop(s.prefix + name)
	t := &topic{name: name, users: 1, subs: make(map[*Subscription]struct{})}
	var err error
	if t.gossip, err = s.gossip.Join(s.prefix + name); err != nil {
		return nil, fmt.Errorf("join the topic %q: %w", name, err)
	}
	if err := t.gossip.SetScoreParams(topicScoreParams()); err != nil {
		return nil, errors.Join(fmt.Errorf("judge the neighbours of the topic %q: %w", name, err), t.gossip.Close())
	}
	if own, ok := s.standing[name]; ok {
		t.standby = &own
		if err := s.listen(t); err != nil {
			return nil, errors.Join(err, t.gossip.Close())
		}
	}
	s.topics[name] = t
	return t, nil
}

// listen has a topic's messages come. mu is held.
func (s *Service) listen(t *topic) error {
	if t.feed != nil {
		return nil
	}
	feed, err := t.gossip.Subscribe(gossipsub.WithBufferSize(gossipQueue))
	if err != nil {
		return fmt.Errorf("follow the topic %q: %w", t.name, err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	t.feed, t.cancel = feed, cancel
	s.tasks.Go(func() { s.deliver(ctx, t, feed) })
	return nil
}

// release counts a user of a topic out, and leaves it after the last.
func (s *Service) release(t *topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.feed != nil && len(t.subs) == 0 && t.standby == nil {
		t.cancel()
		t.feed.Cancel()
		t.feed = nil
	}
	if t.users--; t.users > 0 || s.closed {
		return
	}
	delete(s.topics, t.name)
	if err := t.gossip.Close(); err != nil {
		s.logger.Debug("leave a topic", "topic", t.name, "error", err)
	}
}

// end ends a topic's subscriptions when the service ends.
func (t *topic) end() {
	if t.cancel != nil {
		t.cancel()
	}
}

// deliver hands a topic's messages to its subscriptions until ctx ends.
func (s *Service) deliver(ctx context.Context, t *topic, feed *gossipsub.Subscription) {
	for {
		raw, err := feed.Next(ctx)
		if err != nil {
			s.finish(t, feed)
			return
		}
		m, err := t.open(raw)
		if err != nil {
			continue // was checked before; a message of this node itself is not hostile
		}
		if t.standby != nil && t.standby.take != nil {
			t.standby.take(m)
		}
		s.mu.Lock()
		for sub := range t.subs {
			if !sub.push(m) {
				s.meter.missed.Inc()
			}
		}
		s.mu.Unlock()
	}
}

// finish ends the subscriptions of a topic whose messages have ended, unless they have others by now.
func (s *Service) finish(t *topic, feed *gossipsub.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.feed != feed {
		return
	}
	for sub := range t.subs {
		sub.end()
	}
}

func (t *topic) open(raw *gossipsub.Message) (Message, error) {
	published, data, err := decodeMessage(raw.GetData())
	return Message{ID: raw.ID, Topic: t.name, Author: raw.GetFrom(), Published: published, Data: data}, err
}

// Publish sends data to everybody who follows a topic now. It returns how many of the peers that this node is connected to are known to be among them; that they got it is not known. The error is
// fault.Invalid or fault.TooLarge for what can't be published, and fault.Full when this node publishes too much.
func (s *Service) Publish(ctx context.Context, name string, data []byte) (followers int, err error) {
	if err := CheckTopic(name); err != nil {
		return 0, err
	}
	return s.publish(ctx, name, data)
}

// Announce is Publish for a topic of the program's own, see Handle.
func (s *Service) Announce(ctx context.Context, name string, data []byte) error {
	_, err := s.publish(ctx, name, data)
	return err
}

func (s *Service) publish(ctx context.Context, name string, data []byte) (followers int, err error) {
	if len(data) > MaxMessage {
		return 0, fault.New(fault.TooLarge, "the message has %d bytes: at most %d are allowed", len(data), MaxMessage)
	}
	if !s.authors.take(s.cfg.Host.ID(), messageHeader+len(data)) {
		return 0, fault.New(fault.Full, "more than %d messages, or %d bytes, a second are published through this node: others would drop it", authorRate, authorBytes)
	}
	t, awake, err := s.join(name)
	if err != nil {
		return 0, err
	}
	defer s.release(t)
	if t.standby == nil && s.meet(ctx, name) {
		awake = time.Now()
	}
	followers, err = t.settle(ctx, awake)
	if err != nil {
		return 0, err
	}
	if err := t.gossip.Publish(ctx, encodeMessage(time.Now(), data)); err != nil {
		return 0, fault.New(fault.Unavailable, "publish on the topic %q: %w", name, err)
	}
	return followers, nil
}

// join wakes gossipsub, follows a topic and returns since when gossipsub is awake.
func (s *Service) join(name string) (*topic, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.wake(); err != nil {
		return nil, time.Time{}, err
	}
	t, err := s.follow(name)
	return t, s.awake, err
}

// settle waits for neighbours that follow the topic where this node has heard of such only since begun, and returns how many there are.
func (t *topic) settle(ctx context.Context, begun time.Time) (followers int, err error) {
	poll := time.NewTicker(settlePoll)
	defer poll.Stop()
	for {
		n := len(t.gossip.ListPeers())
		if n > 0 && time.Since(begun) > settleTime/4 || time.Since(begun) > settleTime {
			return n, nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return 0, fault.As(fault.Unavailable, ctx.Err())
		}
	}
}

// Followers returns the neighbours that follow a topic.
func (s *Service) Followers(name string) []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gossip == nil {
		return nil
	}
	return s.gossip.ListPeers(s.prefix + name)
}
