package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

// TestAskedTooOften waits as long as the node says, and gives up where there is no time for that.
func TestAskedTooOften(t *testing.T) {
	calls := 0
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "no", http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(`{"id":"x"}`))
	}))
	defer node.Close()
	if n, err := newClient(t, node.URL, client.Options{}).Node(t.Context()); err != nil || n.ID != "x" || calls != 2 {
		t.Errorf("%+v, %v after %d calls", n, err, calls)
	}
	calls = 0
	if _, err := newClient(t, node.URL, client.Options{Timeout: 500 * time.Millisecond}).Node(t.Context()); fault.KindOf(err) != fault.Unavailable || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
