package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func TestTopics(t *testing.T) {
	s := serve(t, api.Config{Backend: apitest.NewBackend(nil)})
	resp, err := http.Get(s.URL() + "/v1/topics/a%2Fevents/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		lines.Scan()
		return lines.Text()
	}
	if got := next() + next(); got != "retry: 1000" {
		t.Errorf("begins with %q", got)
	}
	for _, path := range []string{"/v1/topics/a/events", "/v1/topics/a%2fevents"} {
		a := askWith(t, s, "POST", path, "hello\n")
		var published v1.Published
		if err := json.Unmarshal(a.body, &published); err != nil || a.StatusCode != http.StatusOK || published.Topic != "a/events" || published.Followers != 1 {
			t.Errorf("%s %s", a.Status, a.body)
		}
		if got := next(); got != "event: message" {
			t.Errorf("a message begins with %q", got)
		}
		var m v1.Message
		if data, ok := strings.CutPrefix(next(), "data: "); !ok || json.Unmarshal([]byte(data), &m) != nil || m.Topic != "a/events" || m.Author != apitest.Self || string(m.Bytes()) != "hello\n" || m.Size != 6 {
			t.Errorf("message %+v of %s", m, data)
		}
		if got := next(); got != "" {
			t.Errorf("a message ends with %q", got)
		}
	}
}

func TestTopicsThatAreNone(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	for _, path := range []string{"/v1/topics/a", "/v1/topics/", "/v1/topics", "/v1/%74opics/a/events", "/v1/topics/a/events/"} {
		if a := ask(t, s, "GET", path); a.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s", path, a.Status)
		}
	}
	for _, path := range []string{"/v1/topics//events", "/v1/topics/%00/events", "/v1/topics/%ff/events", "/v1/topics/moot%2Ffind/events"} {
		ask(t, s, "GET", path).wantProblem(t, http.StatusBadRequest, fault.Invalid, "topic")
	}
	long := strings.Repeat("a", v1.MaxTopic+1)
	ask(t, s, "GET", "/v1/topics/"+long+"/events").wantProblem(t, http.StatusRequestEntityTooLarge, fault.TooLarge, "topic")
	ask(t, s, "POST", "/v1/topics/"+long).wantProblem(t, http.StatusRequestEntityTooLarge, fault.TooLarge, "topic")
	if a := askWith(t, s, "POST", "/v1/topics/a", strings.Repeat("x", v1.MaxMessage)); a.StatusCode != http.StatusOK {
		t.Errorf("the longest message: %s %s", a.Status, a.body)
	}
	if a := askWith(t, s, "POST", "/v1/topics/a", strings.Repeat("x", v1.MaxMessage+1)); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a longer one: %s %s", a.Status, a.body)
	}
	if a := ask(t, s, "HEAD", "/v1/topics/a/events"); a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %s %v", a.Status, a.Header)
	}
}

// Streams of messages and of events are bound together.
func TestSubscriptionsAreBound(t *testing.T) {
	s := serve(t, api.Config{Backend: apitest.NewBackend(nil)})
	for i := range 64 {
		resp, err := http.Get(fmt.Sprintf("%s/v1/topics/%d/events", s.URL(), i))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		defer resp.Body.Close()
	}
	ask(t, s, "GET", "/v1/topics/a/events").wantProblem(t, http.StatusServiceUnavailable, fault.Unavailable, "64 watches")
	ask(t, s, "GET", "/v1/events").wantProblem(t, http.StatusServiceUnavailable, fault.Unavailable, "64 watches")
}
