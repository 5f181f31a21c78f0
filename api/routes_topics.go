package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	// topicsPrefix is the path of topics; a topic follows, and for those who listen topicEvents.
	topicsPrefix = "/v1/topics/"
	topicEvents  = "/events"
	topicPath    = topicsPrefix + "{topic}"
)

// Topics carries messages to those who listen at the time.
type Topics interface {
	// Publish sends a message to everybody who follows a topic. A message, or topic, that can't be is fault.Invalid or fault.TooLarge; fault.Full says that the node publishes too much.
	Publish(ctx context.Context, topic string, message []byte) (v1.Published, error)
	// Subscribe follows a topic from now on. The subscription ends with Close.
	Subscribe(ctx context.Context, topic string) (Subscription, error)
}

// A Subscription tells the messages of a topic, to one goroutine.
type Subscription interface {
	// Next returns the next message once there is one. It returns ctx's error when ctx is over, and another one when the subscription has ended.
	Next(ctx context.Context) (v1.Message, error)
	// Close ends the subscription.
	Close() error
}

func (r *routes) topicRoutes() {
	tags := []string{"topics"}
	body := &huma.RequestBody{
		Description: "The message: any bytes, up to 64 KiB, sent as they are whatever the Content-Type",
		Content:     map[string]*huma.MediaType{typeBytes: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
	handle(r, huma.Operation{
		OperationID: "publish", Method: http.MethodPost, Path: topicPath, Tags: tags,
		Summary:     "Publish a message to everybody who follows a topic now",
		Description: "Nothing is kept: who does not follow the topic at the time does not get it, and that those who do have got it is not known.",
		RequestBody: body, MaxBodyBytes: v1.MaxMessage + 1, // huma refuses a body as long as its limit
	}, r.publish)
	body.Required = false // huma requires raw bodies, and an empty message is a message
	message := r.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[v1.Message](), true, "")
	handle(r, huma.Operation{
		OperationID: "subscribe", Method: http.MethodGet, Path: topicPath + topicEvents, Tags: tags,
		Summary: "Follow a topic: its messages from now on, as server-sent events",
		Description: "The type of each event is message. The node keeps 1,024 messages, or 8 MiB, for a client that is slow; of what it drops beyond, the oldest first, the next message tells how many there were. " +
			"A quiet stream sends a comment every 15 seconds. A stream that breaks off can't be taken up where it was.",
		Responses: map[string]*huma.Response{"200": {Description: "Events; the data of each is a document", Content: map[string]*huma.MediaType{
			v1.EventsType: {Schema: message},
		}}},
	}, r.subscribe)
}

// topicParam is the path parameter that routableTopic wrote.
type topicParam string

// Schema documents the parameter as clients see it.
func (topicParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString,
		Description: "Percent-decoded once and otherwise left alone, as a record's key is. 1 to 1,024 bytes of UTF-8 without control characters; names that begin with `moot/` are the program's own. " +
			"Slashes may be written as they are or as `%2F`.",
	}
}

func (p topicParam) decode() string { return keyParam(p).decode() }

// routableTopic does for a topic what routableURL does for keys: what follows topicsPrefix, without topicEvents for those who listen, becomes one segment.
func routableTopic(method string, u *url.URL) (*url.URL, error) {
	escaped := u.EscapedPath()
	rest, suffix := strings.TrimPrefix(escaped, topicsPrefix), ""
	if listens(method) {
		var ok bool
		if rest, ok = strings.CutSuffix(rest, topicEvents); !ok {
			return nil, noRoute(escaped)
		}
		suffix = topicEvents
	}
	topic, err := url.PathUnescape(rest)
	if err != nil {
		return nil, fault.New(fault.Invalid, "topic %q: %w", rest, err)
	}
	switch {
	case topic == "":
		return nil, fault.New(fault.Invalid, "the topic is empty: it is what follows %s", topicsPrefix)
	case len(topic) > v1.MaxTopic:
		return nil, fault.New(fault.TooLarge, "the topic has %d bytes: at most %d are allowed", len(topic), v1.MaxTopic)
	}
	if err := checkText("topic", topic); err != nil {
		return nil, err
	}
	return &url.URL{Path: topicsPrefix + base64.RawURLEncoding.EncodeToString([]byte(topic)) + suffix, RawQuery: u.RawQuery}, nil
}

func listens(method string) bool { return method == http.MethodGet || method == http.MethodHead }

type publishInput struct {
	Topic   topicParam `path:"topic"`
	RawBody []byte
}

func (r *routes) publish(ctx context.Context, in *publishInput) (*document[v1.Published], error) {
	// huma uses the buffer again after this handler.
	published, err := r.backend.Publish(ctx, in.Topic.decode(), bytes.Clone(in.RawBody))
	if err != nil {
		return nil, err
	}
	return &document[v1.Published]{published}, nil
}

type subscribeInput struct {
	Topic topicParam `path:"topic"`
}

func (r *routes) subscribe(_ context.Context, in *subscribeInput) (*stream, error) {
	return r.streamed(func(ctx context.Context, f *flow) (io.Closer, func(context.Context) error, error) {
		sub, err := r.backend.Subscribe(ctx, in.Topic.decode())
		return sub, func(ctx context.Context) error { return tellMessages(ctx, f, sub) }, err
	}), nil
}

// tellMessages sends messages until ctx or the subscription ends.
func tellMessages(ctx context.Context, f *flow, sub Subscription) error {
	if _, err := fmt.Fprintf(f, "retry: %d\n\n", retryAfter.Milliseconds()); err != nil {
		return err
	}
	for {
		if err := tellMessage(ctx, f, sub); err != nil {
			return err
		}
	}
}

// tellMessage sends the next message, or a comment where none comes for long.
func tellMessage(ctx context.Context, f *flow, sub Subscription) error {
	waiting, cancel := context.WithTimeout(ctx, eventBeat)
	defer cancel()
	m, err := sub.Next(waiting)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			_, err = f.Write([]byte(": beat\n\n"))
		}
		return err
	}
	data, err := json.Marshal(&m)
	if err != nil {
		return err
	}
	_, err = f.Write(append(append([]byte("event: "+v1.EventMessage+"\ndata: "), data...), "\n\n"...))
	return err
}

// isTopicStream says whether r is of one who listens to a topic.
func isTopicStream(r *http.Request) bool {
	return listens(r.Method) && strings.HasPrefix(r.URL.Path, topicsPrefix) && strings.HasSuffix(r.URL.Path, topicEvents)
}
