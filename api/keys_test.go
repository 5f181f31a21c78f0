package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// TestKeysInPaths puts a record by a path as it stands on the wire, and looks which key the backend got.
func TestKeysInPaths(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	for _, c := range []struct{ path, key string }{
		{"a", "a"},
		{"a/b", "a/b"},
		{"a%2Fb", "a/b"},
		{"a%2fb", "a/b"},
		{"a//b", "a//b"},
		{"/a", "/a"},
		{"///", "///"},
		{"a/", "a/"},
		{"a/./b", "a/./b"},
		{"a/../b", "a/../b"},
		{"..", ".."},
		{".", "."},
		{"../node", "../node"},
		{"../../livez", "../../livez"},
		{"%2E%2E", ".."},
		{"%2e%2e%2fnode", "../node"},
		{"a%252Fb", "a%2Fb"},
		{"%2500", "%00"},
		{"a+b", "a+b"},
		{"a%20b", "a b"},
		{"a%3Fb%23c", "a?b#c"},
		{"a;b=c:d@e!$&'()*,", "a;b=c:d@e!$&'()*,"},
		{`"<>^|{}[]`, `"<>^|{}[]`},
		{`a%2F"`, `a/"`},
		{`\`, `\`},
		{"%C3%A4", "ä"},
		{"ä", "ä"},
		{"%E2%80%8B", "\u200b"},
		{"{key}", "{key}"},
		{strings.Repeat("%6B", v1.MaxKey), strings.Repeat("k", v1.MaxKey)},
	} {
		a := askWith(t, s, "PUT", "/v1/records/"+c.path, "v")
		var w v1.Written
		if err := json.Unmarshal(a.body, &w); a.StatusCode != http.StatusOK || err != nil || w.Key != c.key {
			t.Errorf("PUT %.40q: %s, key %q, %v; want key %.40q", c.path, a.Status, w.Key, err, c.key)
			continue
		}
		if rec, err := backend.GetRecord(t.Context(), c.key, api.GetOptions{}); err != nil || string(rec.Value) != "v" {
			t.Errorf("PUT %.40q: the backend has %q, %v", c.path, rec.Value, err)
		}
		for method, want := range map[string]string{"GET": "v", "HEAD": ""} {
			if a := ask(t, s, method, "/v1/records/"+c.path); a.StatusCode != http.StatusOK || string(a.body) != want {
				t.Errorf("%s %.40q: %s %q", method, c.path, a.Status, a.body)
			}
		}
		if a := ask(t, s, "DELETE", "/v1/records/"+c.path); a.StatusCode != http.StatusOK {
			t.Errorf("DELETE %.40q: %s", c.path, a.Status)
		}
		if _, err := backend.GetRecord(t.Context(), c.key, api.GetOptions{}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("DELETE %.40q: the backend says %v", c.path, err)
		}
		if a := askWith(t, s, "PUT", "/v1/providers/"+c.path, ""); a.StatusCode != http.StatusOK {
			t.Errorf("PUT providers of %.40q: %s", c.path, a.Status)
		}
		var p v1.Providers
		a = ask(t, s, "GET", "/v1/providers/"+c.path)
		if err := json.Unmarshal(a.body, &p); a.StatusCode != http.StatusOK || err != nil || p.Key != c.key || len(p.Providers) != 1 {
			t.Errorf("GET providers of %.40q: %s, %+v, %v", c.path, a.Status, p, err)
		}
	}
}

func TestAbsoluteForm(t *testing.T) {
	s := serve(t, api.Config{})
	if a := askWith(t, s, "PUT", s.URL()+"/v1/records/a//b?ttl=1h", "v"); a.StatusCode != http.StatusOK || !strings.Contains(string(a.body), `"key":"a//b"`) {
		t.Errorf("PUT by the whole URL: %s %s", a.Status, a.body)
	}
}

func TestRefusedKeys(t *testing.T) {
	s := serve(t, api.Config{})
	for _, prefix := range []string{"/v1/records/", "/v1/providers/"} {
		for _, c := range []struct {
			path   string
			status int
			kind   fault.Kind
			detail string
		}{
			{"", 400, fault.Invalid, "the key is empty"},
			{"%00", 400, fault.Invalid, "control character at byte 0"},
			{"a%0Ab", 400, fault.Invalid, "control character at byte 1"},
			{"%7F", 400, fault.Invalid, "control character"},
			{"%C2%85", 400, fault.Invalid, "control character"},
			{"%FF", 400, fault.Invalid, "not UTF-8"},
			{"a%C3", 400, fault.Invalid, "not UTF-8"},
			{"%ED%A0%80", 400, fault.Invalid, "not UTF-8"}, // half of a surrogate pair
			{"\xff", 400, fault.Invalid, "not UTF-8"},
			{strings.Repeat("k", v1.MaxKey+1), 413, fault.TooLarge, "1025 bytes"},
		} {
			for _, method := range []string{"GET", "PUT"} {
				askWith(t, s, method, prefix+c.path, "").wantProblem(t, c.status, c.kind, c.detail)
			}
		}
		// net/http itself refuses these before anything of ours runs.
		for _, path := range []string{"%", "%2", "%zz", "a%2", "%G0"} {
			if a := ask(t, s, "GET", prefix+path); a.StatusCode != http.StatusBadRequest {
				t.Errorf("GET %s: %s, want 400", prefix+path, a.Status)
			}
		}
	}
}

// TestNothingIsRedirected asks for paths that http.ServeMux would clean.
func TestNothingIsRedirected(t *testing.T) {
	s := serve(t, api.Config{})
	for _, path := range []string{
		"/", "//", "/v1", "/v1/", "/v1//node", "/v1/node/", "//v1/node", "/v1/./node", "/v1/peers/../node", "/x/..//v1/records/k",
		"/v1/records/../node/x/..//", "/v1/peers/", "/v1/providers", "/docs", "/openapi.yaml", "/schemas/Node.json", "/debug/pprof/heap/", "/debug//pprof/", "/debug/pprof//", "/debug/", "/V1/node", "/v1/node%2F",
		"/%761/records/YQ", "/v1/record%73/k", "/v1%2Frecords/k",
	} {
		if strings.HasPrefix(path, "/v1/records/") {
			ask(t, s, "GET", path).wantProblem(t, 404, fault.NotFound, "does not exist") // a key like any other
			continue
		}
		ask(t, s, "GET", path).wantProblem(t, 404, fault.Invalid, "no such path")
	}
	if a := ask(t, s, "GET", "/v1/records"); a.StatusCode != http.StatusOK {
		t.Errorf("the listing: %s", a.Status)
	}
}

func TestListing(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	for i := range 5 {
		if _, err := backend.PutRecord(t.Context(), fmt.Sprintf("a&b=%d", i), nil, api.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(query string) (page v1.Page) {
		t.Helper()
		a := ask(t, s, "GET", "/v1/records?"+query)
		if err := json.Unmarshal(a.body, &page); err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("list %q: %s %s", query, a.Status, a.body)
		}
		return page
	}
	prefix := "prefix=" + url.QueryEscape("a&b=")
	first := list(prefix + "&limit=3")
	second := list(prefix + "&limit=3&cursor=" + url.QueryEscape(first.Cursor))
	if len(first.Records) != 3 || first.Cursor == "" || len(second.Records) != 2 || second.Cursor != "" || !first.Complete {
		t.Errorf("pages %+v and %+v", first, second)
	}
	if none := ask(t, s, "GET", "/v1/records?prefix=x"); !strings.Contains(string(none.body), `"records":[]`) {
		t.Errorf("an empty listing is %s", none.body)
	}
	backend.SetMissing(apitest.Other)
	if page := list("local=false"); page.Complete || len(page.Missing) != 1 {
		t.Errorf("incomplete listing: %+v", page)
	}
	if page := list("local=true"); !page.Complete {
		t.Errorf("local listing: %+v", page)
	}
}

func TestRefusedQueries(t *testing.T) {
	s := serve(t, api.Config{})
	for _, c := range []struct{ method, target, detail string }{
		{"GET", "/v1/records?limit=0", "query.limit"},
		{"GET", "/v1/records?limit=1001", "query.limit"},
		{"GET", "/v1/records?limit=many", "query.limit"},
		{"GET", "/v1/records?local=maybe", "query.local"},
		{"GET", "/v1/records?local", `"local" has no value`},
		{"GET", "/v1/records?prefix", `"prefix" has no value`},
		{"GET", "/v1/records?prefix=a&prefix=b", `"prefix" is given 2 times`},
		{"GET", "/v1/records?prefix=%zz", "query"},
		{"GET", "/v1/records?prefix=a;b", "query"},
		{"GET", "/v1/records?prefix=%FF", "not UTF-8"},
		{"GET", "/v1/records?prefix=%00", "control character"},
		{"GET", "/v1/records?cursor=!", "cursor"},
		{"GET", "/v1/records?perfix=a", "query.perfix: unknown query parameter"},
		{"GET", "/v1/node?x=y", "query.x"},
		{"PUT", "/v1/records/k?ttl=soon", `ttl "soon"`},
		{"PUT", "/v1/records/k?ttl=60", `ttl "60"`},
		{"PUT", "/v1/records/k?ttl=0s", "positive duration"},
		{"PUT", "/v1/records/k?ttl=-1h", "positive duration"},
		{"PUT", "/v1/records/k?consistency=most", "query.consistency"},
		{"PUT", "/v1/records/k?consistancy=all", "query.consistancy"},
		{"DELETE", "/v1/records/k?ttl=1h", "query.ttl"},
	} {
		askWith(t, s, c.method, c.target, "").wantProblem(t, 400, fault.Invalid, c.detail)
	}
}
