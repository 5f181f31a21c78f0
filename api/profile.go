package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// profilePath is where profiles of the process are: what net/http/pprof would serve, which puts itself into Go's default mux as soon as it is imported.
const profilePath = "/debug/pprof/"

const (
	// defaultProfileTime and maxProfileTime are how long processor profiles and traces of the runtime go on; the latter is a little below DefaultRequestTimeout.
	defaultProfileTime = 10 * time.Second
	maxProfileTime     = 25 * time.Second
	// maxTraceTime is shorter: a trace has each event of the scheduler, and is gathered in memory.
	maxTraceTime = 5 * time.Second
	// maxProfile bounds the bytes of an answer that are gathered before it is sent.
	maxProfile = 64 << 20
)

func isProfilePath(path string) bool {
	return strings.HasPrefix(path, profilePath) || path == strings.TrimSuffix(profilePath, "/")
}

// profiles serves what the runtime tells of the process.
type profiles struct {
	// running has room for one: the profile or trace that is being taken over a time.
	running chan struct{}
}

func profileRoutes(mux *http.ServeMux) {
	p := &profiles{running: make(chan struct{}, 1)}
	mux.HandleFunc("GET "+profilePath+"{$}", p.list)
	mux.HandleFunc("GET "+strings.TrimSuffix(profilePath, "/"), p.list) // else the mux would redirect it
	mux.HandleFunc("GET "+profilePath+"{name}", p.serve)
}

// list tells which there are.
func (p *profiles) list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "profile?seconds=N  what the processor's time goes into, up to %d s\ntrace?seconds=N  what the scheduler does, up to %d s\n", maxProfileTime/time.Second, maxTraceTime/time.Second)
	for _, one := range pprof.Profiles() {
		fmt.Fprintf(w, "%s  %d\n", one.Name(), one.Count())
	}
}

func (p *profiles) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	var data bytes.Buffer
	to := &bounded{to: &data}
	var err error
	switch name {
	case "profile":
		err = p.over(r, maxProfileTime, func() error { return pprof.StartCPUProfile(to) }, pprof.StopCPUProfile)
	case "trace":
		err = p.over(r, maxTraceTime, func() error { return trace.Start(to) }, trace.Stop)
	default:
		err = p.snapshot(to, name, r.URL.Query())
	}
	if err == nil && to.full { // which the runtime does not tell of profiles over a time
		err = errTooLong
	}
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	h := w.Header()
	if r.URL.Query().Get("debug") != "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	w.Write(data.Bytes())
}

// alone lets one profile be taken at a time: each may take much memory, or stop everything for a moment.
func (p *profiles) alone() (done func(), err error) {
	select {
	case p.running <- struct{}{}:
		return func() { <-p.running }, nil
	default:
		return nil, fault.New(fault.Unavailable, "another profile is being taken: try again when it is done")
	}
}

// over takes a profile for as long as r asks for, or its caller waits.
func (p *profiles) over(r *http.Request, most time.Duration, start func() error, stop func()) error {
	d, err := profileTime(r.URL.Query(), most)
	if err != nil {
		return err
	}
	done, err := p.alone()
	if err != nil {
		return err
	}
	defer done()
	if err := start(); err != nil {
		return fault.New(fault.Unavailable, "take a profile: %w: perhaps the node runs with --cpu-profile", err)
	}
	defer stop()
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	<-ctx.Done()
	return nil
}

func profileTime(query url.Values, most time.Duration) (time.Duration, error) {
	text := query.Get("seconds")
	if text == "" {
		return min(defaultProfileTime, most), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > int(most/time.Second) {
		return 0, fault.New(fault.Invalid, "query parameter seconds %s: want 1 to %d", quoted(text), most/time.Second)
	}
	return time.Duration(n) * time.Second, nil
}

// snapshot writes a profile of the moment; debug=1 and, for goroutines, debug=2 make it text, and gc=1 collects garbage before.
func (p *profiles) snapshot(to *bounded, name string, query url.Values) error {
	one := pprof.Lookup(name)
	if one == nil {
		return fault.New(fault.NotFound, "no profile %s: GET %s lists those that there are", quoted(name), profilePath)
	}
	debug, err := strconv.Atoi("0" + query.Get("debug"))
	if err != nil || debug > 2 {
		return fault.New(fault.Invalid, "query parameter debug %s: want 0, 1 or 2", quoted(query.Get("debug")))
	}
	done, err := p.alone()
	if err != nil {
		return err
	}
	defer done()
	if name == "heap" && query.Get("gc") == "1" {
		runtime.GC()
	}
	return one.WriteTo(to, debug)
}

var errTooLong = fault.New(fault.TooLarge, "the profile has more than %d bytes: ask for fewer seconds", maxProfile)

// bounded is a buffer of maxProfile bytes, which takes nothing more once something did not fit.
type bounded struct {
	to   *bytes.Buffer
	full bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.full = b.full || b.to.Len()+len(p) > maxProfile; b.full {
		return 0, errTooLong
	}
	return b.to.Write(p)
}
