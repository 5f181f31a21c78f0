package node

import (
	"context"

	"github.com/folkmoot/folkmoot/api"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/pubsub"
)

func (b backend) Publish(ctx context.Context, topic string, message []byte) (v1.Published, error) {
	followers, err := b.n.topics.Publish(ctx, topic, message)
	return v1.Published{Topic: topic, Followers: followers}, err
}

func (b backend) Subscribe(_ context.Context, topic string) (api.Subscription, error) {
	sub, err := b.n.topics.Subscribe(topic)
	if err != nil {
		return nil, err
	}
	return subscription{sub}, nil
}

// subscription shows a pubsub.Subscription to the HTTP API.
type subscription struct{ *pubsub.Subscription }

func (s subscription) Next(ctx context.Context) (v1.Message, error) {
	m, err := s.Subscription.Next(ctx)
	if err != nil {
		return v1.Message{}, err
	}
	doc := v1.Message{Topic: m.Topic, Author: m.Author.String(), Published: m.Published.UTC(), Missed: m.Missed}
	doc.SetValue(m.Data)
	return doc, nil
}
