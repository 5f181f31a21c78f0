package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const topicsPath = "/v1/topics/"

// Publish sends a message to everybody who follows a topic now.
func (c *Client) Publish(ctx context.Context, topic string, message []byte) (v1.Published, error) {
	if len(message) > v1.MaxMessage {
		return v1.Published{}, fault.New(fault.TooLarge, "the message has %d bytes: at most %d are allowed", len(message), v1.MaxMessage)
	}
	if message == nil {
		message = []byte{}
	}
	return document[v1.Published](ctx, c, call{method: http.MethodPost, path: topicsPath, segment: topic, body: message, contentType: bytesType})
}

// Messages yields the messages of a topic from now on. subscribed, which may be nil, is called whenever the node has begun to follow it. A stream that breaks off is taken up again: its error, of kind
// fault.Unavailable, is yielded, and messages may be missed until subscribed is called anew; it goes on if the caller does. Every other error ends it.
func (c *Client) Messages(ctx context.Context, topic string, subscribed func()) iter.Seq2[v1.Message, error] {
	patient := *c
	patient.timeout = max(c.timeout, eventSilence)
	return func(yield func(v1.Message, error) bool) {
		resume(ctx, yield, func(heard func()) error {
			return patient.subscribeOnce(ctx, topic, func() {
				heard()
				if subscribed != nil {
					subscribed()
				}
			}, func(m v1.Message) bool { return yield(m, nil) })
		})
	}
}

// subscribeOnce reads one stream of messages. It always returns an error.
func (c *Client) subscribeOnce(ctx context.Context, topic string, subscribed func(), take func(v1.Message) bool) error {
	what := call{method: http.MethodGet, path: topicsPath, segment: topic, suffix: "/events", accept: v1.EventsType}
	return c.stream(ctx, what, func(body io.Reader) error {
		subscribed()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxEventLine)
		for lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			if !ok {
				continue // each message is one line of data; the others tell nothing new
			}
			var m v1.Message
			if err := json.Unmarshal(data, &m); err != nil {
				return c.notADocument(err)
			}
			if !take(m) {
				return errStopped
			}
		}
		if err := lines.Err(); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "%s ended the stream of messages", c.URL())
	})
}
