package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/apitoken"
)

const profiles = "/debug/pprof/"

// TestProfilesNeedTheScopeAdmin asks for each kind of profile with every scope, without a token, and for a page of another site.
func TestProfilesNeedTheScopeAdmin(t *testing.T) {
	_, set, texts := scopedTokens(t)
	s := serve(t, api.Config{Tokens: set, RequireTokens: true})
	for _, path := range []string{"/debug/pprof", profiles, profiles + "heap", profiles + "profile?seconds=1", profiles + "trace", profiles + "%67oroutine", "/%64ebug/pprof/heap", profiles + "no-such"} {
		for scope, text := range texts {
			a := ask(t, s, "GET", path, "Authorization: Bearer "+text, "Moot-Timeout: 10ms")
			if scope != apitoken.Admin {
				a.wantProblem(t, 403, fault.Forbidden, "scope admin")
			} else if a.StatusCode == http.StatusForbidden {
				t.Errorf("%s with the scope admin: %s", path, a.Status)
			}
		}
		ask(t, s, "GET", path).wantProblem(t, 401, fault.Forbidden, "token")
		ask(t, s, "GET", path, "Authorization: Bearer wrong").wantProblem(t, 401, fault.Forbidden, "token")
	}
	open := serve(t, api.Config{})
	if a := ask(t, open, "GET", profiles+"heap"); a.StatusCode != http.StatusOK {
		t.Errorf("on a loopback address without tokens: %s", a.Status)
	}
	ask(t, open, "GET", profiles+"heap", "Sec-Fetch-Site: cross-site").wantProblem(t, 403, fault.Forbidden, "another site")
	ask(t, open, "POST", profiles+"heap", "Content-Length: 0").wantProblem(t, 405, fault.Invalid, "GET")
}

// unzipped returns what a profile for go tool pprof holds.
func unzipped(t *testing.T, what string, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	whole, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return whole
}

func TestProfiles(t *testing.T) {
	s := serve(t, api.Config{})
	// What the caller waits for ends a profile that takes longer.
	if whole := unzipped(t, "profile", ask(t, s, "GET", profiles+"profile?seconds=25", "Moot-Timeout: 50ms").body); !bytes.Contains(whole, []byte("nanoseconds")) {
		t.Errorf("the processor's profile: %.100q", whole)
	}
	if a := ask(t, s, "GET", profiles+"trace?seconds=1", "Moot-Timeout: 20ms"); !strings.HasPrefix(string(a.body), "go 1.") {
		t.Errorf("the runtime's trace: %s, %.40q", a.Status, a.body)
	}
	if whole := unzipped(t, "heap", ask(t, s, "GET", profiles+"heap?gc=1").body); !bytes.Contains(whole, []byte("inuse_space")) {
		t.Errorf("the heap: %.100q", whole)
	}
	if a := ask(t, s, "GET", profiles+"goroutine?debug=2"); !strings.Contains(string(a.body), "api_test.TestProfiles") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the goroutines: %s, %.200q", a.Header.Get("Content-Type"), a.body)
	}
	if a := ask(t, s, "GET", strings.TrimSuffix(profiles, "/")); a.StatusCode != http.StatusOK {
		t.Errorf("the list without the slash: %s", a.Status)
	}
	if a := ask(t, s, "GET", profiles); !strings.Contains(string(a.body), "goroutine  ") || !strings.Contains(string(a.body), "profile?seconds=N") {
		t.Errorf("the list: %q", a.body)
	}
	for _, path := range []string{"profile?seconds=0", "profile?seconds=26", "profile?seconds=-1", "profile?seconds=1h", "profile?seconds=99999999999999999999", "trace?seconds=6", "heap?debug=3", "heap?debug=x", "heap?debug=-1"} {
		ask(t, s, "GET", profiles+path).wantProblem(t, 400, fault.Invalid, "want")
	}
	ask(t, s, "GET", profiles+"no-such").wantProblem(t, 404, fault.NotFound, "/debug/pprof/")
}

// TestOneProfileAtATime: while one is taken another is refused, and the end of its caller ends it.
func TestOneProfileAtATime(t *testing.T) {
	s := serve(t, api.Config{})
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan struct{})
	go func() {
		defer close(first)
		for ctx.Err() == nil { // the other one may be first
			r, err := http.NewRequestWithContext(ctx, "GET", s.URL()+profiles+"profile?seconds=25", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			if answer, err := http.DefaultClient.Do(r); err == nil {
				answer.Body.Close()
			}
		}
	}()
	await(t, func() bool {
		a := ask(t, s, "GET", profiles+"profile?seconds=1", "Moot-Timeout: 1ms")
		return a.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(a.body), "another profile")
	})
	leave()
	<-first
	await(t, func() bool {
		return ask(t, s, "GET", profiles+"profile?seconds=1", "Moot-Timeout: 1ms").StatusCode == http.StatusOK
	})
}

func await(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}
