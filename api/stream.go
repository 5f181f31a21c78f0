package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	// streamPatience is how long a client may take to read a piece of an answer that goes on.
	streamPatience = 30 * time.Second
	// streamBeat is how often an answer that goes on repeats itself where nothing changes, so that the client knows that the node is there.
	streamBeat = 5 * time.Second
)

// streamPaths are those whose answers go on for as long as something takes; those of who listens to a topic are others.
var streamPaths = []string{leavePath, backupPath, eventsPath, networkEventsPath}

// isStream says whether the answer to r goes on for as long as something takes. The time of a request does not bound it, that for each piece does.
func isStream(r *http.Request) bool {
	return slices.Contains(streamPaths, r.URL.Path) || isTopicStream(r)
}

// A flow writes an answer that goes on. Its first byte makes it a success; until then it can still be a problem.
type flow struct {
	w           http.ResponseWriter
	control     *http.ResponseController
	contentType string
	begun       bool
}

// newFlow takes the request out of the bounds of time that hold for others.
func newFlow(ctx huma.Context, contentType string) *flow {
	_, w := humago.Unwrap(ctx)
	f := &flow{w: w, control: http.NewResponseController(w), contentType: contentType}
	_ = f.control.SetReadDeadline(time.Time{})
	return f
}

// Write sends p at once.
func (f *flow) Write(p []byte) (int, error) {
	_ = f.control.SetWriteDeadline(time.Now().Add(streamPatience))
	if !f.begun {
		f.begun = true
		f.w.Header().Set("Content-Type", f.contentType)
		f.w.WriteHeader(http.StatusOK)
	}
	n, err := f.w.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// line sends doc as a line of JSON.
func (f *flow) line(doc any) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return err
}

// fail ends the answer with err: as a problem where nothing was sent, and otherwise by cutting the connection, so that no client takes what it has for the whole.
func (f *flow) fail(err error) {
	if f.begun {
		panic(http.ErrAbortHandler)
	}
	writeProblem(f.w, problemOf(err))
}
