package apitest

import (
	"context"
	"io"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/fault"
)

// BackupText is the whole of a Backend's backup.
const BackupText = "a backup, as far as a test double has one"

// leave is what became of a Backend's leave.
type leave struct {
	// steps are what progress is told; the last is what is left at the end.
	steps []int64
	// held, where it is not nil, keeps a leave from ending until it is closed.
	held    chan struct{}
	stopped bool
	left    bool
}

// SetLeave makes Leave tell progress these numbers of records, one after the other, and end when hold is closed, at once when hold is nil.
// It fails unless the last number is 0.
func (b *Backend) SetLeave(hold chan struct{}, steps ...int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave = leave{steps: steps, held: hold}
}

// Left tells whether Leave was called and came to an end.
func (b *Backend) Left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leave.left
}

// Leave implements api.Backend; nothing ends with it but itself.
func (b *Backend) Leave(ctx context.Context, opts api.LeaveOptions, progress func(left int64)) error {
	if err := b.enter(ctx, "Leave"); err != nil {
		return err
	}
	steps, held := b.leave.steps, b.leave.held
	b.mu.Unlock()
	if opts.DrainTimeout < 0 {
		return fault.New(fault.Invalid, "drain timeout %s is negative", opts.DrainTimeout)
	}
	var left int64
	for _, left = range steps {
		progress(left)
	}
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave.left = true
	if left > 0 {
		return fault.New(fault.Unavailable, "leave: the time is up: %d records are not handed over", left)
	}
	return nil
}

// StopLeaving implements api.Backend.
func (b *Backend) StopLeaving(ctx context.Context) error {
	if err := b.enter(ctx, "StopLeaving"); err != nil {
		return err
	}
	defer b.mu.Unlock()
	if b.leave.held != nil && !b.leave.stopped {
		b.leave.stopped = true
		close(b.leave.held)
	}
	return nil
}

// Backup implements api.Backend: it writes BackupText.
func (b *Backend) Backup(ctx context.Context, w io.Writer, _ api.BackupOptions) error {
	if err := b.enter(ctx, "Backup"); err != nil {
		return err
	}
	b.mu.Unlock()
	_, err := io.WriteString(w, BackupText)
	return err
}
