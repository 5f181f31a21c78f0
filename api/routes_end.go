package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	leavePath  = "/v1/leave"
	backupPath = "/v1/backup"

	typeBackup = "application/x-tar"
)

func (r *routes) endRoutes() {
	tags := []string{"node"}
	line := r.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[v1.Leaving](), true, "")
	handle(r, huma.Operation{
		OperationID: "leave", Method: http.MethodPost, Path: leavePath, Tags: tags,
		Summary: "Hand everything over to other peers and end this node for good; the answer is a line of JSON now and then until it has ended",
		Responses: map[string]*huma.Response{"200": {Description: "How it goes, a document a line", Content: map[string]*huma.MediaType{
			v1.LinesType: {Schema: line},
		}}},
	}, r.leave)
	handle(r, huma.Operation{
		OperationID: "stop-leaving", Method: http.MethodDelete, Path: leavePath, Tags: tags,
		Summary: "End a leave under way at once: the node stops, whatever is left to hand over",
	}, r.stopLeaving)
	handle(r, huma.Operation{
		OperationID: "backup", Method: http.MethodPost, Path: backupPath, Tags: tags,
		Summary: "A backup of this node without its keys",
		Responses: map[string]*huma.Response{"200": {Content: map[string]*huma.MediaType{
			typeBackup: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}}},
	}, r.backup)
}

type leaveInput struct {
	DrainTimeout string `query:"drain_timeout" example:"5m" doc:"How long it may take, up to 24h; the node ends then, whatever is left; absent: 5m"`
}

// leave tells how a leave goes until its end. A client that goes away does not stop it.
func (r *routes) leave(_ context.Context, in *leaveInput) (*stream, error) {
	var opts LeaveOptions
	if in.DrainTimeout != "" {
		var err error
		opts.DrainTimeout, err = time.ParseDuration(in.DrainTimeout)
		if err != nil || opts.DrainTimeout <= 0 || opts.DrainTimeout > v1.MaxDrainTimeout {
			return nil, fault.New(fault.Invalid, "drain_timeout %q: want a duration such as 90s or 10m, at most %s", in.DrainTimeout, v1.MaxDrainTimeout)
		}
	}
	return &stream{func(ctx huma.Context) {
		l := leaveAnswer{flow: newFlow(ctx, v1.LinesType)}
		stop := l.beat()
		err := r.backend.Leave(ctx.Context(), opts, l.progress)
		stop()
		l.end(ctx.Context(), err)
	}}, nil
}

func (r *routes) stopLeaving(ctx context.Context, _ *struct{}) (*document[v1.Leaving], error) {
	if err := r.backend.StopLeaving(ctx); err != nil {
		return nil, err
	}
	return &document[v1.Leaving]{v1.Leaving{}}, nil
}

// leaveAnswer is the answer of a leave. What can't be sent is lost: the leave goes on.
type leaveAnswer struct {
	mu   sync.Mutex
	flow *flow // guarded by mu
	left int64 // guarded by mu; as told last
	told bool  // guarded by mu; left is known
}

func (l *leaveAnswer) progress(left int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.told = left, true
	_ = l.flow.line(v1.Leaving{Left: left})
}

// beat repeats the last line now and then until the function that it returns is called.
func (l *leaveAnswer) beat() (stop func()) {
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(streamBeat)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				l.mu.Lock()
				if l.told {
					_ = l.flow.line(v1.Leaving{Left: l.left})
				}
				l.mu.Unlock()
			}
		}
	})
	return func() {
		close(done)
		beating.Wait()
	}
}

// end sends the last line; a leave that could not begin is a problem.
func (l *leaveAnswer) end(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		_ = l.flow.line(v1.Leaving{Done: true})
	case ctx.Err() != nil && errors.Is(err, ctx.Err()) || !l.flow.begun:
		l.flow.fail(err)
	default:
		p := v1.Problem(*problemOf(err))
		_ = l.flow.line(v1.Leaving{Left: l.left, Done: true, Problem: &p})
	}
}

type backupInput struct {
	Ledger       bool `query:"ledger" default:"true" doc:"Whether the ledger is in it; without it a restored node fetches it from the others"`
	Predecessors bool `query:"predecessors" default:"true" doc:"Whether the ledgers that the present one goes on from are in it, too, as far as the node has them"`
}

func (r *routes) backup(_ context.Context, in *backupInput) (*stream, error) {
	opts := BackupOptions{NoLedger: !in.Ledger, NoPredecessors: !in.Predecessors}
	return &stream{func(ctx huma.Context) {
		f := newFlow(ctx, typeBackup)
		if err := r.backend.Backup(ctx.Context(), f, opts); err != nil {
			f.fail(err)
		}
	}}, nil
}
