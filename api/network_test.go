package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func TestNetworkEvents(t *testing.T) {
	backend := apitest.NewBackend(func() time.Time { return time.Unix(1, 0) })
	s := serve(t, api.Config{Backend: backend})
	resp, next := openStream(t, s, "/v1/network/events")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != v1.EventsType {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	next() // how long to wait before the stream is taken up again
	block := next()
	var e v1.NetworkEvent
	if len(block) != 3 || block[0] != "event: state" || block[1] != "id: n0" || json.Unmarshal([]byte(strings.TrimPrefix(block[2], "data: ")), &e) != nil || e.State == nil || len(e.State.Peers) != 2 || e.State.Self != apitest.Self {
		t.Errorf("begins with %q", block)
	}
	backend.TellNetwork(v1.NetworkEvent{Event: v1.NetworkGone, ID: apitest.Other})
	if block := strings.Join(next(), "\n"); !strings.HasPrefix(block, "event: gone\n") || !strings.Contains(block, apitest.Other) {
		t.Errorf("event %q", block)
	}
	_, next = openStream(t, s, "/v1/network/events?cursor=n7", "Last-Event-ID: n0")
	next()
	if block := strings.Join(next(), "\n"); !strings.HasPrefix(block, "event: gone\n") {
		t.Errorf("goes on with %q", block)
	}
	ask(t, s, "GET", "/v1/network/events?cursor=x").wantProblem(t, 400, fault.Invalid, "cursor")
}
