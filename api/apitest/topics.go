package apitest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// maxWaiting is how many messages wait for a subscriber.
const maxWaiting = 16

// subscription is one of a Backend in memory. Its fields are guarded by Backend.mu.
type subscription struct {
	b       *Backend
	topic   string
	waiting []v1.Message
	missed  uint64
	changed chan struct{} // closed at the next message
	ended   bool
}

var _ api.Subscription = (*subscription)(nil)

func checkTopic(topic string) error {
	if strings.HasPrefix(topic, "moot/") {
		return fault.New(fault.Invalid, "topic %q: the program's own", topic)
	}
	return checkKey(topic)
}

// Publish implements api.Topics.
func (b *Backend) Publish(ctx context.Context, topic string, message []byte) (v1.Published, error) {
	if err := b.enter(ctx, "Publish"); err != nil {
		return v1.Published{}, err
	}
	defer b.mu.Unlock()
	if err := checkTopic(topic); err != nil {
		return v1.Published{}, err
	}
	if len(message) > v1.MaxMessage {
		return v1.Published{}, fault.New(fault.TooLarge, "%d bytes", len(message))
	}
	m := v1.Message{Topic: topic, Author: Self, Published: b.now().UTC()}
	m.SetValue(message)
	for _, s := range b.topics[topic] {
		s.waiting = append(s.waiting, m)
		if len(s.waiting) > maxWaiting {
			s.waiting = s.waiting[1:]
			s.missed++
		}
		s.wake()
	}
	return v1.Published{Topic: topic, Followers: 1}, nil
}

// Subscribe implements api.Topics.
func (b *Backend) Subscribe(ctx context.Context, topic string) (api.Subscription, error) {
	if err := b.enter(ctx, "Subscribe"); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	s := &subscription{b: b, topic: topic, changed: make(chan struct{})}
	if b.topics == nil {
		b.topics = map[string][]*subscription{}
	}
	b.topics[topic] = append(b.topics[topic], s)
	return s, nil
}

// wake needs mu.
func (s *subscription) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Next implements api.Subscription.
func (s *subscription) Next(ctx context.Context) (v1.Message, error) {
	for {
		m, changed, err := s.take()
		if changed == nil {
			return m, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v1.Message{}, ctx.Err()
		}
	}
}

func (s *subscription) take() (m v1.Message, changed <-chan struct{}, err error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.ended {
		return m, nil, fault.New(fault.Unavailable, "the subscription has ended")
	}
	if len(s.waiting) == 0 {
		return m, s.changed, nil
	}
	m = s.waiting[0]
	s.waiting = s.waiting[1:]
	m.Missed, s.missed = s.missed, 0
	return m, nil, nil
}

// Close implements api.Subscription.
func (s *subscription) Close() error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if !s.ended {
		s.ended = true
		s.wake()
	}
	return nil
}

func subscribe(t *testing.T, b api.Backend, topic string) api.Subscription {
	t.Helper()
	s, err := b.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func nextMessage(t *testing.T, s api.Subscription) v1.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchPatience)
	defer cancel()
	m, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testTopics(t *testing.T, b api.Backend) {
	var subs []api.Subscription
	for _, topic := range Keys() {
		subs = append(subs, subscribe(t, b, topic))
	}
	for i, topic := range Keys() {
		message := []byte(topic + "\xff")
		if i%2 == 0 {
			message = []byte(topic)
		}
		published, err := b.Publish(t.Context(), topic, message)
		if err != nil || published.Topic != topic || published.Followers < 0 {
			t.Fatalf("publish on %.20q: %+v, %v", topic, published, err)
		}
		m := nextMessage(t, subs[i])
		if m.Topic != topic || string(m.Bytes()) != string(message) || m.Size != len(message) || m.Author == "" || m.Missed != 0 || time.Since(m.Published).Abs() > time.Minute {
			t.Errorf("message on %.20q: %+v", topic, m)
		}
	}
	for _, message := range [][]byte{{}, make([]byte, v1.MaxMessage)} {
		if _, err := b.Publish(t.Context(), "a", message); err != nil {
			t.Fatal(err)
		}
		if m := nextMessage(t, subs[0]); len(m.Bytes()) != len(message) {
			t.Errorf("%d bytes, want %d", len(m.Bytes()), len(message))
		}
	}
	for topic, kind := range BadKeys() {
		_, err := b.Publish(t.Context(), topic, nil)
		wantKind(t, "publish on a bad topic", err, kind)
		_, err = b.Subscribe(t.Context(), topic)
		wantKind(t, "subscribe to a bad topic", err, kind)
	}
	_, err := b.Publish(t.Context(), "moot/find", nil)
	wantKind(t, "publish on the program's own topic", err, fault.Invalid)
	_, err = b.Subscribe(t.Context(), "moot/find")
	wantKind(t, "subscribe to the program's own topic", err, fault.Invalid)
	_, err = b.Publish(t.Context(), "a", make([]byte, v1.MaxMessage+1))
	wantKind(t, "publish a message over the limit", err, fault.TooLarge)
	subs[0].Close()
	_, err = subs[0].Next(t.Context())
	wantKind(t, "next of a closed subscription", err, fault.Unavailable)
}
