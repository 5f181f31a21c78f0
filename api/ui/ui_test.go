package ui_test

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/folkmoot/folkmoot/api/ui"
)

var script = strings.Repeat("console.log('moot');\n", 200)

func files() fstest.MapFS {
	return fstest.MapFS{
		"index.html":                {Data: []byte("<!doctype html><script type=module src=/assets/index-BZx3kQ9_.js></script>")},
		"assets/index-BZx3kQ9_.js":  {Data: []byte(script)},
		"assets/map-0a1b2c3d.css":   {Data: []byte("a{}")},
		"favicon.svg":               {Data: []byte("<svg/>")},
		"assets/plain.js":           {Data: []byte("1")},
		"assets/font-aaaaaaaa.what": {Data: []byte{0, 1}},
	}
}

func TestFiles(t *testing.T) {
	h, err := ui.New(files())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, contentType, cache string }{
		{"/", "text/html; charset=utf-8", "no-cache"},
		{"/index.html", "text/html; charset=utf-8", "no-cache"},
		{"/assets/index-BZx3kQ9_.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/map-0a1b2c3d.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/plain.js", "text/javascript; charset=utf-8", "no-cache"},
		{"/favicon.svg", "image/svg+xml", "no-cache"},
		{"/assets/font-aaaaaaaa.what", "application/octet-stream", "public, max-age=31536000, immutable"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
		got := w.Header()
		if !h.Has(tt.path) || w.Code != 200 || got.Get("Content-Type") != tt.contentType || got.Get("Cache-Control") != tt.cache || got.Get("Content-Security-Policy") != ui.Policy || got.Get("ETag") == "" {
			t.Errorf("%s: %d %v", tt.path, w.Code, got)
		}
	}
	for _, path := range []string{"", "/assets", "/assets/", "/assets/../index.html", "/none", "index.html", "/v1/node"} {
		if h.Has(path) {
			t.Errorf("there is a file at %q", path)
		}
	}
	if strings.Contains(ui.Policy, "unsafe") || strings.Contains(ui.Policy, "*") || !strings.HasPrefix(ui.Policy, "default-src 'none';") {
		t.Errorf("policy %q", ui.Policy)
	}
}

func TestCompression(t *testing.T) {
	h, err := ui.New(files())
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]bool{}
	for accept, compressed := range map[string]bool{"": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip;q=0.000": false, "br": false} {
		r := httptest.NewRequest("GET", "/assets/index-BZx3kQ9_.js", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body := io.Reader(w.Body)
		if (w.Header().Get("Content-Encoding") == "gzip") != compressed || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", accept, w.Header())
		}
		if compressed {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != script {
			t.Errorf("%q: %d bytes, %v", accept, len(got), err)
		}
		tag := w.Header().Get("ETag")
		tags[tag] = true
		r.Header.Set("If-None-Match", `"x", W/`+tag)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 304 || w.Body.Len() > 0 {
			t.Errorf("%q with %s: %d, %d bytes", accept, tag, w.Code, w.Body.Len())
		}
	}
	if len(tags) != 2 {
		t.Errorf("entity tags %v, want one for each encoding", tags)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
}

func TestWhatIsNoDashboard(t *testing.T) {
	if _, err := ui.New(fstest.MapFS{"main.js": {}}); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("without a page: %v", err)
	}
	if _, err := ui.New(fstest.MapFS{"index.html": {}, "large.bin": {Data: make([]byte, 17<<20)}}); err == nil {
		t.Error("17 MiB are served")
	}
}
