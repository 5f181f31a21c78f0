package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Subscribe implements api.Backend.
func (p pulling) Subscribe(ctx context.Context, topic string) (api.Subscription, error) {
	s := &pulledMessages{messages: make(chan v1.Message), ended: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	subscribed := make(chan struct{})
	go func() {
		defer close(s.ended)
		for m, err := range p.Messages(ctx, topic, func() { close(subscribed) }) {
			if s.err = err; err != nil {
				return
			}
			select {
			case s.messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case <-subscribed:
		return s, nil
	case <-s.ended:
		return nil, s.err
	}
}

type pulledMessages struct {
	messages chan v1.Message
	cancel   context.CancelFunc
	ended    chan struct{}
	err      error // set before ended is closed
}

func (s *pulledMessages) Next(ctx context.Context) (v1.Message, error) {
	select {
	case m := <-s.messages:
		return m, nil
	case <-s.ended:
		return v1.Message{}, fault.New(fault.Unavailable, "the subscription has ended")
	case <-ctx.Done():
		return v1.Message{}, ctx.Err()
	}
}

func (s *pulledMessages) Close() error {
	s.cancel()
	<-s.ended
	return nil
}

// A subscription whose stream breaks off goes on, and says so.
func TestMessagesGoOn(t *testing.T) {
	streams := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		streams++
		w.Header().Set("Content-Type", v1.EventsType)
		fmt.Fprintf(w, "retry: 1000\n\n: beat\n\nevent: message\ndata: {\"topic\":\"news\",\"value\":\"%d\"}\n\n", streams)
	}))
	defer server.Close()
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	began, broke, got := 0, 0, ""
	for m, err := range c.Messages(t.Context(), "news", func() { began++ }) {
		if err != nil {
			if broke++; fault.KindOf(err) != fault.Unavailable {
				t.Fatal(err)
			}
			continue
		}
		if got += string(m.Bytes()); len(got) == 3 {
			break
		}
	}
	if got != "123" || began != 3 || broke != 2 {
		t.Errorf("messages %q of %d streams, of which %d broke", got, began, broke)
	}
}

func TestMessagesThatAreNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", v1.EventsType)
		io.WriteString(w, "event: message\ndata: {\n\n")
	}))
	defer server.Close()
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Messages(t.Context(), "news", nil) {
		if fault.KindOf(err) != fault.Internal {
			t.Errorf("error %v, want that it is no document", err)
		}
	}
	if _, err := c.Publish(t.Context(), "news", make([]byte, v1.MaxMessage+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("publish a long message: %v", err)
	}
}

func TestSubscribeToWhatIsNoTopic(t *testing.T) {
	b := newClient(t, serve(t, api.Config{Backend: apitest.NewBackend(nil)}), client.Options{})
	for _, err := range b.Messages(t.Context(), "", nil) {
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("error %v, want invalid", err)
		}
	}
}
