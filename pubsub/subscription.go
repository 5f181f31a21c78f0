package pubsub

import (
	"context"
	"sync"

	"github.com/folkmoot/folkmoot/fault"
)

// Subscription is one subscriber's messages of a topic. Next is called by one goroutine at a time.
type Subscription struct {
	service *Service
	topic   *topic
	news    chan struct{} // capacity 1: there is something to take
	close   func()

	mu     sync.Mutex
	queue  []Message // guarded by mu; the oldest first
	bytes  int       // guarded by mu; of the data in queue
	missed uint64    // guarded by mu; dropped since the last one was taken
	ended  bool      // guarded by mu
}

// Subscribe returns the messages of a topic from now on, of all authors, this node included. Close ends it; so does the service's end. The error is fault.Full when the node has as many as it can.
func (s *Service) Subscribe(name string) (*Subscription, error) {
	if err := CheckTopic(name); err != nil {
		return nil, err
	}
	t, _, err := s.join(name)
	if err != nil {
		return nil, err
	}
	sub := &Subscription{service: s, topic: t, news: make(chan struct{}, 1)}
	sub.close = sync.OnceFunc(func() { s.leave(sub) })
	if err := s.enter(sub); err != nil {
		s.release(t)
		return nil, err
	}
	return sub, nil
}

func (s *Service) enter(sub *Subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.subs >= MaxSubscriptions {
		return fault.New(fault.Full, "this node has %d subscriptions already: subscribe through another one", MaxSubscriptions)
	}
	if err := s.listen(sub.topic); err != nil {
		return err
	}
	s.subs++
	sub.topic.subs[sub] = struct{}{}
	s.carried.hear(s.prefix + sub.topic.name)
	return nil
}

func (s *Service) leave(sub *Subscription) {
	s.mu.Lock()
	s.subs--
	delete(sub.topic.subs, sub)
	s.mu.Unlock()
	s.release(sub.topic)
}

// Close ends the subscription.
func (sub *Subscription) Close() error {
	sub.close()
	sub.end()
	return nil
}

func (sub *Subscription) end() {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.ended = true
	sub.wake()
}

func (sub *Subscription) wake() {
	select {
	case sub.news <- struct{}{}:
	default:
	}
}

// push adds a message, and drops the oldest where there is no room. It reports whether there was.
func (sub *Subscription) push(m Message) (room bool) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	room = true
	sub.queue = append(sub.queue, m)
	sub.bytes += len(m.Data)
	for len(sub.queue) > maxQueued || sub.bytes > maxQueuedBytes {
		sub.pop()
		sub.missed++
		room = false
	}
	sub.wake()
	return room
}

// pop takes the oldest message. mu is held.
func (sub *Subscription) pop() Message {
	m := sub.queue[0]
	sub.queue[0] = Message{}
	sub.queue = sub.queue[1:]
	sub.bytes -= len(m.Data)
	return m
}

// Next returns the next message once there is one. It returns ctx's error when ctx is over, and fault.Unavailable when the subscription has ended.
func (sub *Subscription) Next(ctx context.Context) (Message, error) {
	for {
		if m, ok, err := sub.take(); ok || err != nil {
			return m, err
		}
		select {
		case <-sub.news:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

func (sub *Subscription) take() (Message, bool, error) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if len(sub.queue) == 0 {
		if sub.ended {
			sub.wake() // for those who ask again
			return Message{}, false, fault.New(fault.Unavailable, "the subscription of %q has ended", sub.topic.name)
		}
		return Message{}, false, nil
	}
	m := sub.pop()
	m.Missed, sub.missed = sub.missed, 0
	return m, true, nil
}
