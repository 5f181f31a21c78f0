package replica

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/folkmoot/folkmoot/internal/tracing"
)

// Stages of a transaction on its way into a block, as spans call them.
const (
	stageGather   = "gather"    // it waits for others to share an envelope with
	stageHandOver = "hand over" // signatures are checked, and the envelope goes to consensus
	stageBlock    = "block"     // it is on its way into a block
	stagePause    = "pause"     // it came too early
)

// A trail records the stages of a submission that is recorded. A nil trail does nothing. It is guarded by Replica.mu.
type trail struct {
	parent trace.Span
	stage  trace.Span // nil: none
	name   string     // of stage
	over   bool
}

// newTrail returns a trail beneath the span in ctx, or nil when that is not recorded.
func newTrail(ctx context.Context) *trail {
	if parent := trace.SpanFromContext(ctx); parent.IsRecording() {
		return &trail{parent: parent}
	}
	return nil
}

// enter ends the present stage and begins another.
func (t *trail) enter(stage string) {
	if t == nil || t.over {
		return
	}
	t.leave(nil)
	t.name = stage
	_, t.stage = tracing.Start(trace.ContextWithSpan(context.Background(), t.parent), stage)
}

// shared notes with how many others the transaction shares an envelope.
func (t *trail) shared(others int) {
	if t != nil && t.stage != nil {
		t.stage.SetAttributes(attribute.Int("moot.ledger.shared", others))
	}
}

// end ends the last stage: the transaction is in a block, or err says why it is in none.
func (t *trail) end(place Place, err error) {
	if t == nil || t.over {
		return
	}
	if err == nil && t.stage != nil && t.name != stageBlock {
		t.enter(stageBlock) // the block was there before it was known that consensus had taken the envelope
	}
	t.over = true
	if t.stage != nil && err == nil {
		t.stage.SetAttributes(attribute.Int64("moot.ledger.height", place.Height), attribute.String("moot.ledger.result", place.Result.Code.String()))
	}
	t.leave(err)
}

func (t *trail) leave(err error) {
	if t.stage != nil {
		tracing.End(t.stage, &err)
		t.stage = nil
	}
}
