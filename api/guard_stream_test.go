package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/folkmoot/folkmoot/internal/apitoken"
)

// oneToken is a token until it is revoked.
type oneToken struct{ revoked atomic.Bool }

func (o *oneToken) Find(string, time.Time) (apitoken.Token, bool) {
	return apitoken.Token{ID: "id", Scope: apitoken.Read}, !o.revoked.Load()
}

func (o *oneToken) Len() int { return 1 }

// TestRevokedTokenEndsStreams has streams end soon after their token, and those of callers without one go on.
func TestRevokedTokenEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := new(oneToken)
		h := &handler{
			mux: http.NewServeMux(), guard: newGuard(&Config{Tokens: tokens}, "127.0.0.1", "http"), slots: make(chan struct{}, 2), timeout: time.Second, bodies: newBodies(0),
		}
		var err error
		if h.metrics, err = newMetrics(nil); err != nil {
			t.Fatal(err)
		}
		h.mux.HandleFunc("GET "+eventsPath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		h.logger = slog.New(slog.DiscardHandler)
		ask := func(token string) (ended <-chan struct{}) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+eventsPath, nil)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				h.ServeHTTP(httptest.NewRecorder(), r)
			}()
			return done
		}
		with, without := ask("token"), ask("")
		time.Sleep(time.Hour)
		select {
		case <-with:
			t.Fatal("the stream of a good token ended")
		default:
		}
		tokens.revoked.Store(true)
		time.Sleep(tokenLook + time.Second)
		select {
		case <-with:
		default:
			t.Error("the stream of a revoked token goes on")
		}
		select {
		case <-without:
			t.Error("the stream of a caller without a token ended")
		default:
		}
	})
}
