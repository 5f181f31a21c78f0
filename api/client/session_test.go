package client_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

func clientOf(t *testing.T, backend api.Backend) *client.Client {
	t.Helper()
	return newClient(t, serve(t, api.Config{Backend: backend}), client.Options{})
}

func TestSession(t *testing.T) {
	c := clientOf(t, apitest.NewBackend(nil))
	s := c.NewSession("")
	if s.Token() != "" {
		t.Errorf("a new session has seen %q", s.Token())
	}
	w, err := s.PutRecord(t.Context(), "k", []byte("v"), client.PutOptions{})
	if err != nil || s.Token() == "" || s.Token() != w.Session {
		t.Fatalf("put: session %q, %v", s.Token(), err)
	}
	if r, err := s.GetRecord(t.Context(), "k", client.GetOptions{}); err != nil || string(r.Value) != "v" || r.Copies.Stored != 2 {
		t.Errorf("get: %+v, %v", r, err)
	}
	before := s.Token()
	if _, err := s.DeleteRecord(t.Context(), "k", client.PutOptions{IfVersion: w.Version}); err != nil || s.Token() == before {
		t.Errorf("delete: session %q, %v", s.Token(), err)
	}
	// What finds nothing belongs to the session too.
	if _, err := s.GetRecord(t.Context(), "k", client.GetOptions{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("get what was deleted: %v", err)
	}
	// It goes on elsewhere, where it has seen more than there is.
	elsewhere := clientOf(t, apitest.NewBackend(nil)).NewSession(s.Token())
	if _, err := elsewhere.GetRecord(t.Context(), "k", client.GetOptions{}); fault.KindOf(err) != fault.Unavailable || elsewhere.Token() != s.Token() {
		t.Errorf("get where less is known: %v", err)
	}
}

// TestSessionsTakeTurns makes a call wait for the one before it, and give up.
func TestSessionsTakeTurns(t *testing.T) {
	backend := apitest.NewBackend(nil)
	under, release := make(chan struct{}), make(chan struct{})
	backend.Intercept(func(context.Context, string) error {
		close(under)
		<-release
		return nil
	})
	s := clientOf(t, backend).NewSession("")
	first := make(chan error, 1)
	go func() {
		_, err := s.PutRecord(context.Background(), "k", nil, client.PutOptions{})
		first <- err
	}()
	<-under
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.GetRecord(ctx, "k", client.GetOptions{}); err == nil {
		t.Error("a second call did not wait")
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestStreamsEndOrFail(t *testing.T) {
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/leave":
			_, _ = io.WriteString(w, `{"left":3}`+"\n")
			w.(http.Flusher).Flush()
			select {
			case <-silent:
			case <-r.Context().Done():
			}
		case r.URL.Path == "/v1/backup":
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	defer close(silent)
	c, err := client.New(server.URL, client.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var left int64
	if err := c.Leave(t.Context(), client.LeaveOptions{}, func(n int64) { left = n }); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "too long") || left != 3 {
		t.Errorf("a node that fell silent: %v, %d left", err, left)
	}
	var got bytes.Buffer
	if err := c.Backup(t.Context(), &got, client.BackupOptions{}); fault.KindOf(err) != fault.Unavailable || got.String() != "half" {
		t.Errorf("a backup that broke off: %v, %q", err, &got)
	}
}

func TestLeaveLines(t *testing.T) {
	backend := apitest.NewBackend(nil)
	c := clientOf(t, backend)
	backend.SetLeave(nil, 5, 0)
	var told []int64
	if err := c.Leave(t.Context(), client.LeaveOptions{DrainTimeout: time.Minute}, func(n int64) { told = append(told, n) }); err != nil || len(told) != 2 || !backend.Left() {
		t.Errorf("%v, progress %d", err, told)
	}
	backend.SetLeave(nil, 5, 2)
	if err := c.Leave(t.Context(), client.LeaveOptions{}, func(int64) {}); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "2 records") {
		t.Errorf("%v", err)
	}
}
