//go:build !windows

package api_test

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

// socketIn returns the path of a socket in a new folder, whose own path is short enough.
func socketIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "moot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "api.sock")
}

func newSocketServer(path string) (*api.Server, error) {
	return api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: "unix://" + path})
}

func onlyNode(t *testing.T, url string) error {
	t.Helper()
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Node(t.Context())
	return err
}

// TestSocket: the API is served on a socket that its owner alone may use, and that goes with the server.
func TestSocket(t *testing.T) {
	path := socketIn(t)
	s := serve(t, api.Config{Listen: "unix://" + path})
	if s.URL() != "unix://"+path {
		t.Errorf("URL %s", s.URL())
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := onlyNode(t, s.URL()); err != nil {
		t.Error(err)
	}
	c, err := client.New(s.URL(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRecord(t.Context(), "a//b", []byte("v"), client.PutOptions{}); err != nil {
		t.Error(err)
	}
	// A page can't reach a socket, but what forwards one may: names of others are refused here, too.
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://evil.example/v1/node", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("for another host: %s", resp.Status)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after its end the socket is there: %v", err)
	}
	if err := onlyNode(t, s.URL()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "moot run") {
		t.Errorf("nobody listens: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 { // the lock
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestSocketPlaces: what is at a socket's path stays unless it is a socket on which nobody listens.
func TestSocketPlaces(t *testing.T) {
	path := socketIn(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := newSocketServer(path); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "another program listens") {
		t.Errorf("somebody listens: %v, %v", s, err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := newSocketServer(path)
	if err != nil {
		t.Fatalf("a socket on which nobody listens is in the way: %v", err)
	}
	if other, err := newSocketServer(path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("two on one socket: %v, %v", other, err)
	}
	// Another took the place: it stays when the first goes.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := newSocketServer(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the first took the socket of the second away: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}

	for what, put := range map[string]func() error{
		"a file":   func() error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"a folder": func() error { return os.Mkdir(path, 0o700) },
		"a link":   func() error { return os.Symlink("/nowhere", path) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if s, err := newSocketServer(path); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v, %v", what, s, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", what, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for what, listen := range map[string]string{
		"a path that is not whole": "unix://api.sock", "none": "unix://", "a long one": "unix:///tmp/" + strings.Repeat("x", 110), "one that is not clean": "unix:///tmp/../tmp/api.sock",
	} {
		if s, err := api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: listen}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, %v", what, s, err)
		}
	}
	if s, err := api.NewServer(api.Config{Backend: apitest.NewBackend(nil), Listen: "unix://" + path, TLSCert: "c", TLSKey: "k"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("with a certificate: %v, %v", s, err)
	}
}

// TestSocketIsTakenOnce: of several that find a socket on which nobody listens one gets its place, and keeps it.
func TestSocketIsTakenOnce(t *testing.T) {
	path := socketIn(t)
	for range 20 {
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()
		servers := make([]*api.Server, 4)
		var starting sync.WaitGroup
		for i := range servers {
			starting.Go(func() { servers[i], _ = newSocketServer(path) })
		}
		starting.Wait()
		got := 0
		for _, s := range servers {
			if s == nil {
				continue
			}
			got++
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if got != 1 {
			t.Fatalf("%d servers on one socket", got)
		}
	}
}
