package pubsub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gossipsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

func TestEverybodyWhoFollowsHears(t *testing.T) {
	simulate(t, 12, everybody, func(t *testing.T, l *lab) {
		var subs []*Subscription
		for _, p := range l.peers[:8] {
			subs = append(subs, l.subscribe(p, "news"))
		}
		other := l.subscribe(l.peers[9], "other")
		time.Sleep(3 * time.Second)
		// A peer that does not follow the topic publishes, and one that does.
		for i, from := range []*labPeer{l.peers[11], l.peers[0]} {
			text := fmt.Sprintf("message %d", i)
			if n := l.publish(from, "news", text); n != 8-i {
				t.Errorf("%d followers are known, want %d", n, 8-i)
			}
			for _, sub := range subs {
				if m := l.hears(sub, time.Second, text); m.Author != from.host.ID() || m.Topic != "news" || time.Since(m.Published) > time.Second || m.Missed != 0 {
					t.Errorf("message of %s on %q, published %v, %d missed", m.Author, m.Topic, m.Published, m.Missed)
				}
			}
		}
		for _, sub := range append(subs, other) {
			l.silent(sub, 5*time.Second) // nothing comes twice, or of another topic
		}
	})
}

func TestTheFirstMessageArrives(t *testing.T) {
	simulate(t, 5, everybody, func(t *testing.T, l *lab) {
		for _, p := range l.peers {
			if p.Awake() {
				t.Fatal("gossip runs before anybody uses it")
			}
		}
		sub := l.subscribe(l.peers[1], "news")
		l.publish(l.peers[4], "news", "first")
		l.hears(sub, time.Second, "first")
		for i, p := range l.peers {
			if !p.Awake() {
				t.Errorf("peer %d sleeps though its neighbours gossip", i)
			}
		}
	})
}

// Peers in a line: messages are passed on by those between only if these follow the topic.
func TestMessagesArePassedOn(t *testing.T) {
	simulate(t, 6, func(a, b int) bool { return b == a+1 }, func(t *testing.T, l *lab) {
		var subs []*Subscription
		for _, p := range l.peers {
			subs = append(subs, l.subscribe(p, "news"))
		}
		time.Sleep(3 * time.Second)
		l.publish(l.peers[0], "news", "far")
		for _, sub := range subs {
			l.hears(sub, 2*time.Second, "far")
		}
	})
}

// Followers that are not connected to one another meet at the peers that are nearest to the topic.
func TestFollowersMeet(t *testing.T) {
	simulate(t, 0, nil, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(context.Background())
		defer time.Sleep(time.Minute)
		defer cancel()
		meet := func(_ context.Context, topic string) ([]peer.AddrInfo, error) {
			var infos []peer.AddrInfo
			for _, p := range l.peers {
				infos = append(infos, p.info())
			}
			target := sha256.Sum256([]byte(topic))
			distance := func(id peer.ID) []byte {
				h := sha256.Sum256([]byte(id))
				for i := range h {
					h[i] ^= target[i]
				}
				return h[:]
			}
			slices.SortFunc(infos, func(a, b peer.AddrInfo) int { return bytes.Compare(distance(a.ID), distance(b.ID)) })
			return infos[:min(len(infos), MeetingPeers)], nil
		}
		for i := range 20 {
			l.add(ctx, Config{Network: testNetwork(t, "a"), Meet: meet})
			if i > 0 {
				l.connect(i, i-1)
			}
		}
		a, b := l.subscribe(l.peers[3], "news"), l.subscribe(l.peers[15], "news")
		time.Sleep(5 * time.Second)
		l.publish(l.peers[9], "news", "hello")
		l.hears(a, 2*time.Second, "hello")
		l.hears(b, 2*time.Second, "hello")
		a.Close()
		b.Close()
		time.Sleep(2 * carryInterval)
		for i, p := range l.peers {
			p.carried.mu.Lock()
			if n := len(p.carried.topics); n > 0 {
				t.Errorf("peer %d still passes %d topics on that nobody follows", i, n)
			}
			p.carried.mu.Unlock()
		}
	})
}

func TestSlowSubscribersAreToldWhatTheyMissed(t *testing.T) {
	simulate(t, 1, everybody, func(t *testing.T, l *lab) {
		sub, quick := l.subscribe(l.peers[0], "news"), l.subscribe(l.peers[0], "news")
		const published = maxQueued + 50
		for i := range published {
			l.publish(l.peers[0], "news", fmt.Sprint(i))
			l.hears(quick, time.Second, fmt.Sprint(i))
			time.Sleep(20 * time.Millisecond)
		}
		if m := l.hears(sub, time.Second, "50"); m.Missed != 50 {
			t.Errorf("%d were missed, want 50", m.Missed)
		}
		for i := 51; i < published; i++ {
			if m := l.hears(sub, time.Second, fmt.Sprint(i)); m.Missed != 0 {
				t.Fatalf("%d were missed before the message %d", m.Missed, i)
			}
		}
		l.silent(sub, time.Second)
	})
}

func TestQueuesAreBoundInBytes(t *testing.T) {
	sub := &Subscription{news: make(chan struct{}, 1)}
	const many = 2 * maxQueuedBytes / MaxMessage
	for range many {
		sub.push(Message{Data: make([]byte, MaxMessage)})
	}
	if sub.bytes > maxQueuedBytes || len(sub.queue) != many/2 || sub.missed != many/2 {
		t.Errorf("%d messages of %d bytes wait, %d were missed", len(sub.queue), sub.bytes, sub.missed)
	}
}

func TestWhatCannotBePublished(t *testing.T) {
	simulate(t, 1, everybody, func(t *testing.T, l *lab) {
		p := l.peers[0]
		for name, tt := range map[string]struct {
			topic string
			size  int
			want  fault.Kind
		}{
			"no topic":       {"", 1, fault.Invalid},
			"a control":      {"a\nb", 1, fault.Invalid},
			"not UTF-8":      {"a\xff", 1, fault.Invalid},
			"a long topic":   {strings.Repeat("a", MaxTopic+1), 1, fault.TooLarge},
			"a long message": {"news", MaxMessage + 1, fault.TooLarge},
		} {
			if _, err := p.Publish(t.Context(), tt.topic, make([]byte, tt.size)); fault.KindOf(err) != tt.want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := p.Subscribe(""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("subscribe to nothing: %v", err)
		}
		sub := l.subscribe(p, strings.Repeat("é", MaxTopic/2))
		if _, err := p.Publish(t.Context(), strings.Repeat("é", MaxTopic/2), make([]byte, MaxMessage)); err != nil {
			t.Errorf("the longest topic and message: %v", err)
		}
		if m, err := sub.Next(t.Context()); err != nil || len(m.Data) != MaxMessage {
			t.Errorf("%d bytes, %v", len(m.Data), err)
		}
	})
}

func TestTopicsAndSubscriptionsAreBound(t *testing.T) {
	simulate(t, 1, everybody, func(t *testing.T, l *lab) {
		p := l.peers[0]
		var subs []*Subscription
		for i := range MaxTopics {
			subs = append(subs, l.subscribe(p, fmt.Sprint(i)))
		}
		if _, err := p.Subscribe("one more"); fault.KindOf(err) != fault.Full {
			t.Errorf("one topic too many: %v", err)
		}
		for range MaxSubscriptions - MaxTopics {
			subs = append(subs, l.subscribe(p, "0"))
		}
		if _, err := p.Subscribe("0"); fault.KindOf(err) != fault.Full {
			t.Errorf("one subscription too many: %v", err)
		}
		for _, sub := range subs {
			sub.Close()
		}
		if len(p.topics) != 0 || p.subs != 0 {
			t.Errorf("%d topics and %d subscriptions are left", len(p.topics), p.subs)
		}
		l.subscribe(p, "one more").Close()
	})
}

func TestPublishingTooMuchIsRefused(t *testing.T) {
	simulate(t, 1, everybody, func(t *testing.T, l *lab) {
		refused := 0
		for range 2 * authorBurst {
			if _, err := l.peers[0].Publish(t.Context(), "news", nil); fault.KindOf(err) == fault.Full {
				refused++
			}
		}
		if refused == 0 || refused > authorBurst {
			t.Errorf("%d of %d were refused", refused, 2*authorBurst)
		}
	})
}

func TestTheEndOfAService(t *testing.T) {
	simulate(t, 2, everybody, func(t *testing.T, l *lab) {
		sub := l.subscribe(l.peers[0], "news")
		l.peers[0].Close()
		for range 2 {
			if _, err := sub.Next(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("Next after the end: %v", err)
			}
		}
		if _, err := l.peers[0].Subscribe("news"); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("Subscribe after the end: %v", err)
		}
		if _, err := l.peers[0].Publish(t.Context(), "news", nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("Publish after the end: %v", err)
		}
		sub.Close()
	})
}

// Messages of other networks, of strangers and of long ago are not delivered, and whoever passes on what is malformed is silenced.
func TestValidation(t *testing.T) {
	simulate(t, 1, everybody, func(t *testing.T, l *lab) {
		s := l.peers[0].Service
		s.cfg.Admits = func(p peer.ID) bool { return p != "stranger" }
		if err := s.Handle("own", func(author peer.ID, data []byte) error {
			switch string(data) {
			case "bad":
				return fault.New(fault.Invalid, "bad")
			case "often":
				return errors.New("too often")
			}
			return nil
		}, nil); err != nil {
			t.Fatal(err)
		}
		ours, other := s.prefix+"news", topicPrefix(testNetwork(t, "b"))+"news"
		now := time.Now()
		for name, tt := range map[string]struct {
			topic, author string
			data          []byte
			want          gossipsub.ValidationResult
		}{
			"good":                {ours, "member", encodeMessage(now, []byte("x")), gossipsub.ValidationAccept},
			"another network":     {other, "member", encodeMessage(now, nil), gossipsub.ValidationReject},
			"no message":          {ours, "member", nil, gossipsub.ValidationReject},
			"another version":     {ours, "member", append([]byte{2}, encodeMessage(now, nil)[1:]...), gossipsub.ValidationReject},
			"too long":            {ours, "member", encodeMessage(now, make([]byte, MaxMessage+1)), gossipsub.ValidationReject},
			"of a stranger":       {ours, "stranger", encodeMessage(now, nil), gossipsub.ValidationIgnore},
			"of long ago":         {ours, "member", encodeMessage(now.Add(-maxSkew-time.Second), nil), gossipsub.ValidationIgnore},
			"of the future":       {ours, "member", encodeMessage(now.Add(maxSkew+time.Second), nil), gossipsub.ValidationIgnore},
			"own, good":           {s.prefix + "own", "member", encodeMessage(now, nil), gossipsub.ValidationAccept},
			"own, not acceptable": {s.prefix + "own", "member", encodeMessage(now, []byte("bad")), gossipsub.ValidationReject},
			"own, too often":      {s.prefix + "own", "member", encodeMessage(now, []byte("often")), gossipsub.ValidationIgnore},
		} {
			m := &gossipsub.Message{Message: &pb.Message{Topic: &tt.topic, From: []byte(tt.author), Data: tt.data}}
			if got := s.validate(t.Context(), "neighbour", m); got != tt.want {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
		}
	})
}
