package api_test

import (
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func TestConditionalWrites(t *testing.T) {
	s := serve(t, api.Config{})
	first := askWith(t, s, "PUT", "/v1/records/k", "first", "If-None-Match: *")
	if first.StatusCode != 200 || first.Header.Get("ETag") == "" || first.Header.Get(v1.HeaderCopies) != "2 of 2; 5 wanted" {
		t.Fatalf("%s %v", first.Status, first.Header)
	}
	askWith(t, s, "PUT", "/v1/records/k", "other", "If-None-Match: *").wantProblem(t, 412, fault.Conflict, "exists")
	second := askWith(t, s, "PUT", "/v1/records/k", "second", "If-Match: "+first.Header.Get("ETag"))
	if second.StatusCode != 200 {
		t.Fatalf("%s %s", second.Status, second.body)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		askWith(t, s, method, "/v1/records/k", "other", "If-Match: "+first.Header.Get("ETag")).wantProblem(t, 412, fault.Conflict, "version")
	}
	if a := ask(t, s, "GET", "/v1/records/k"); string(a.body) != "second" {
		t.Errorf("the value is %q", a.body)
	}
	if a := ask(t, s, "DELETE", "/v1/records/k", "If-Match: "+second.Header.Get("ETag")); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	askWith(t, s, "PUT", "/v1/records/k", "other", "If-Match: "+second.Header.Get("ETag")).wantProblem(t, 412, fault.Conflict, "does not exist")
}

func TestConditionsThatCannotBePromised(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	tag := `"0000000000000001-` + strings.Repeat("0", 32) + `"`
	for _, c := range []struct {
		method  string
		headers []string
		part    string
	}{
		{"PUT", []string{"If-Match: *"}, "name the version"},
		{"PUT", []string{"If-Match: W/" + tag}, "weak"},
		{"PUT", []string{"If-Match: " + tag + ", " + tag}, "one version"},
		{"PUT", []string{"If-Match: " + tag, "If-Match: " + tag}, "2 times"},
		{"PUT", []string{"If-Match: " + strings.Trim(tag, `"`)}, "quotes"},
		{"PUT", []string{`If-Match: ""`}, "quotes"},
		{"PUT", []string{`If-Match: "x"`}, "version"},
		{"PUT", []string{"If-None-Match: " + tag}, "only *"},
		{"PUT", []string{"If-None-Match: *, " + tag}, "only *"},
		{"PUT", []string{"If-None-Match: *", "If-Match: " + tag}, "both"},
		{"DELETE", []string{"If-None-Match: *"}, "DELETE"},
		{"DELETE", []string{"If-Match: W/" + tag}, "weak"},
	} {
		askWith(t, s, c.method, "/v1/records/k", "v", c.headers...).wantProblem(t, 400, fault.Invalid, c.part)
	}
	askWith(t, s, "PUT", "/v1/providers/k", "", "If-None-Match: *").wantProblem(t, 400, fault.Invalid, "If-None-Match")
	if _, err := backend.GetRecord(t.Context(), "k", api.GetOptions{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a refused write was stored: %v", err)
	}
}

func TestSessionHeaders(t *testing.T) {
	s := serve(t, api.Config{})
	put := askWith(t, s, "PUT", "/v1/records/k", "v")
	session := put.Header.Get(v1.HeaderSession)
	if session == "" {
		t.Fatalf("a write without a session: %v", put.Header)
	}
	get := ask(t, s, "GET", "/v1/records/k", v1.HeaderSession+": "+session)
	if get.StatusCode != 200 || get.Header.Get(v1.HeaderSession) == "" || get.Header.Get(v1.HeaderCopies) == "" {
		t.Errorf("%s %v", get.Status, get.Header)
	}
	deleted := ask(t, s, "DELETE", "/v1/records/k", v1.HeaderSession+": "+session)
	none := ask(t, s, "GET", "/v1/records/k", v1.HeaderSession+": "+deleted.Header.Get(v1.HeaderSession))
	none.wantProblem(t, 404, fault.NotFound, "k")
	if none.Header.Get(v1.HeaderSession) == "" {
		t.Error("an answer that there is no record lost the session")
	}
	// Another network has not seen what this session has.
	other := serve(t, api.Config{})
	ask(t, other, "GET", "/v1/records/k", v1.HeaderSession+": "+session).wantProblem(t, 503, fault.Unavailable, "session")
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		askWith(t, s, method, "/v1/records/k", "", v1.HeaderSession+": no token").wantProblem(t, 400, fault.Invalid, "session")
		askWith(t, s, method, "/v1/records/k", "", v1.HeaderSession+": "+strings.Repeat("A", v1.MaxSession+1)).wantProblem(t, 400, fault.Invalid, v1.HeaderSession)
	}
}

func TestConsistencyOfReads(t *testing.T) {
	s := serve(t, api.Config{})
	askWith(t, s, "PUT", "/v1/records/k", "v")
	for _, c := range []string{"one", "quorum", "all"} {
		if a := ask(t, s, "GET", "/v1/records/k?consistency="+c); a.StatusCode != 200 {
			t.Errorf("%s: %s %s", c, a.Status, a.body)
		}
	}
	ask(t, s, "GET", "/v1/records/k?consistency=most").wantProblem(t, 400, fault.Invalid, "consistency")
	if a := ask(t, s, "GET", "/v1/records/k", "Accept: application/json"); !strings.Contains(string(a.body), `"copies":{"stored":2,"wanted":2,"configured":5}`) {
		t.Errorf("document %s", a.body)
	}
}
