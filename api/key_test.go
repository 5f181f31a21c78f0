package api

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2/queryparam"
)

// FuzzRoutableURL checks that every path is refused or routed as it is, its key one segment that holds the bytes that
// one percent-decoding gives.
func FuzzRoutableURL(f *testing.F) {
	for _, target := range []string{
		"/v1/records/a", "/v1/records/a//b", "/v1/records/..", "/v1/records/%2e%2E/", "/v1/records/%00", "/v1/records/%ff", "/v1/records/",
		"/v1/providers/a%2Fb?x=y", "/v1/node", "/v1//node", "//x/v1/records/k", "http://h/v1/records/\"", "*", "/v1/records/a%2F\"", "/v1%2Frecords/k", "/%761/records/YQ",
	} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		got, err := routableURL(u)
		if err != nil {
			return
		}
		if escaped := got.EscapedPath(); path.Clean(escaped) != escaped {
			t.Fatalf("%q becomes %q, which ServeMux would redirect", target, escaped)
		}
		if got.RawQuery != u.RawQuery {
			t.Fatalf("%q has query %q, want %q", target, got.RawQuery, u.RawQuery)
		}
		for _, prefix := range keyPrefixes {
			segment, ok := strings.CutPrefix(got.Path, prefix)
			if !ok {
				continue
			}
			want := strings.TrimPrefix(u.Path, prefix)
			if key := keyParam(segment).decode(); key != want || strings.Contains(segment, "/") || checkKey(key) != nil {
				t.Fatalf("%q has key %q, want %q", target, key, want)
			}
		}
	})
}

// FuzzCheckQuery checks that huma reads what net/url does out of every query that is let through.
func FuzzCheckQuery(f *testing.F) {
	for _, query := range []string{"", "a=1", "a=1&b=2", "a&b=1", "a=b=c", "a=%26&b=+", "a;b=1", "a=1&a=2", "%61=1", "&&a=1&", "=x", "a=%zz"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if checkQuery(query) != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("%q was let through: %v", query, err)
		}
		for name, v := range values {
			if got := queryparam.Get(query, name); len(v) != 1 || got != v[0] {
				t.Fatalf("%q: parameter %q is %q to huma and %q to net/url", query, name, got, v)
			}
		}
	})
}
