package api

import (
	"encoding/base64"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// recordsPrefix is the path of records; a key follows.
const recordsPrefix = "/v1/records/"

// keyPrefixes are the paths that a key follows.
var keyPrefixes = [...]string{recordsPrefix, "/v1/providers/", "/v1/holders/"}

// routableURL returns u in a form that http.ServeMux routes without cleaning or redirecting it. The key, everything
// after one of keyPrefixes, percent-decoded once, becomes one path segment of base64url, which a keyParam decodes. Any other
// path that ServeMux would clean names no route.
func routableURL(u *url.URL) (*url.URL, error) {
	escaped := u.EscapedPath()
	for _, prefix := range keyPrefixes {
		rest, ok := strings.CutPrefix(escaped, prefix)
		if !ok && strings.HasPrefix(u.Path, prefix) {
			// ServeMux would route a prefix with letters escaped, such as /%761/records/, past this function.
			return nil, noRoute(escaped)
		}
		if !ok {
			continue
		}
		key, err := url.PathUnescape(rest)
		if err != nil {
			return nil, fault.New(fault.Invalid, "key %q: %w", rest, err)
		}
		if err := checkKey(key); err != nil {
			return nil, err
		}
		return &url.URL{Path: prefix + base64.RawURLEncoding.EncodeToString([]byte(key)), RawQuery: u.RawQuery}, nil
	}
	if escaped == profilePath { // the one path that ends in a slash, as programs that read profiles know it
		return u, nil
	}
	if path.Clean(escaped) != escaped || strings.HasPrefix(u.Path, topicsPrefix) { // a topic's prefix with letters escaped
		return nil, noRoute(escaped)
	}
	return u, nil
}

// checkKey refuses what can never be a key, whatever the store.
func checkKey(key string) error {
	if key == "" {
		return fault.New(fault.Invalid, "the key is empty: it is everything after the slash; GET /v1/records lists records")
	}
	if len(key) > v1.MaxKey {
		return fault.New(fault.TooLarge, "the key has %d bytes: at most %d are allowed", len(key), v1.MaxKey)
	}
	return checkText("key", key)
}

// checkText refuses text that is not UTF-8 or has control characters.
func checkText(what, text string) error {
	if !utf8.ValidString(text) {
		return fault.New(fault.Invalid, "%s %q is not UTF-8", what, text)
	}
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		return fault.New(fault.Invalid, "%s %q has a control character at byte %d", what, text, i)
	}
	return nil
}

// checkQuery refuses query strings that parsers read differently: broken escapes, semicolons, names given twice, names
// without a value.
func checkQuery(raw string) error {
	if raw == "" {
		return nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return fault.New(fault.Invalid, "query %q: %w", raw, err)
	}
	for name, v := range values {
		if len(v) > 1 {
			return fault.New(fault.Invalid, "query parameter %q is given %d times", name, len(v))
		}
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" && !strings.Contains(pair, "=") {
			return fault.New(fault.Invalid, "query parameter %q has no value: write name=value", pair)
		}
	}
	return nil
}

// keyParam is the path parameter that routableURL wrote.
type keyParam string

// Schema documents the parameter as clients see it.
func (keyParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString,
		Description: "Everything after the slash, percent-decoded once and otherwise left alone: `a//b`, `a/../b` and `a/` are keys of their own. " +
			"1 to 1,024 bytes of UTF-8 without control characters. Slashes may be written as they are or as `%2F`.",
	}
}

func (k keyParam) decode() string {
	key, err := base64.RawURLEncoding.DecodeString(string(k))
	if err != nil {
		panic("a path parameter that routableURL did not write: " + err.Error())
	}
	return string(key)
}
