// Package ui serves the files of a dashboard: index.html and what it loads.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

const (
	// index is the file at /.
	index = "index.html"
	// maxFiles and maxBytes bound what is served; it is kept in memory.
	maxFiles = 256
	maxBytes = 16 << 20
	// minCompressed is how many bytes a file has at least that is worth to be compressed.
	minCompressed = 1 << 10
)

// Policy is the Content-Security-Policy of every file: nothing from elsewhere, nothing inline, in no frame.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// hashed matches the names of files that bundlers name after their content, such as assets/index-BZx3kQ9_.js: under one name it never changes.
var hashed = regexp.MustCompile(`^assets/.+-[0-9A-Za-z_-]{8,}\.[0-9a-z]+$`)

// types are those of files that browsers are strict about; others are told by the system's list of them.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": "application/json",
	".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
}

// Handler serves a dashboard. It never changes.
type Handler struct{ files map[string]*file }

type file struct {
	data []byte
	// compressed returns data compressed, and nil where it is not worth it. It is not done before somebody asks: a node starts more often than its dashboard is opened.
	compressed  func() []byte
	contentType string
	etag        string
	cache       string
}

// New reads the files of a dashboard, among them index.html.
func New(files fs.FS) (*Handler, error) {
	h := &Handler{files: make(map[string]*file)}
	total := 0
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if total += len(data); total > maxBytes || len(h.files) == maxFiles {
			return fmt.Errorf("more than %d files or %d bytes", maxFiles, maxBytes)
		}
		h.files["/"+name] = newFile(name, data)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	if h.files["/"+index] == nil {
		return nil, fmt.Errorf("read the dashboard: it has no %s", index)
	}
	h.files["/"] = h.files["/"+index]
	return h, nil
}

func newFile(name string, data []byte) *file {
	digest := sha256.Sum256(data)
	f := &file{data: data, etag: base64.RawURLEncoding.EncodeToString(digest[:16]), cache: "no-cache", contentType: types[path.Ext(name)]}
	if f.contentType == "" {
		f.contentType = mime.TypeByExtension(path.Ext(name))
	}
	if f.contentType == "" {
		f.contentType = "application/octet-stream"
	}
	if hashed.MatchString(name) {
		f.cache = "public, max-age=31536000, immutable"
	}
	f.compressed = sync.OnceValue(func() []byte { return compress(data) })
	return f
}

// compress returns data compressed, or nil where it is not worth it.
func compress(data []byte) []byte {
	if len(data) < minCompressed {
		return nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil // the level is a constant
	}
	_, err = z.Write(data)
	if err := errors.Join(err, z.Close()); err != nil || b.Len() >= len(data)*9/10 { // a buffer takes everything
		return nil
	}
	return b.Bytes()
}

// Has says whether there is a file at the path of a URL. / is index.html.
func (h *Handler) Has(path string) bool { return h.files[path] != nil }

// ServeHTTP answers a GET or HEAD of a file that there is.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := h.files[r.URL.Path]
	if f == nil {
		http.NotFound(w, r)
		return
	}
	data, etag := f.data, `"`+f.etag+`"`
	header := w.Header()
	header.Set("Content-Security-Policy", Policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Cache-Control", f.cache)
	header.Set("Content-Type", f.contentType)
	if compressed := f.compressed(); compressed != nil {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			header.Set("Content-Encoding", "gzip")
			data, etag = compressed, `"`+f.etag+`-gzip"`
		}
	}
	header.Set("ETag", etag)
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == etag {
			header.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // the client may have gone
	}
}

// acceptsGzip heeds q-values of 0 alone: nothing else is offered.
func acceptsGzip(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			name, params, _ := strings.Cut(strings.TrimSpace(coding), ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q := strings.TrimSpace(params)
				return q == "" || strings.Trim(strings.TrimPrefix(q, "q="), "0.") != ""
			}
		}
	}
	return false
}
