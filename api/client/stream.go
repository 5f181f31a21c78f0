package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

const (
	leavePath  = "/v1/leave"
	backupPath = "/v1/backup"

	backupType = "application/x-tar"
	// maxLine bounds a line of an answer that goes on.
	maxLine = 64 << 10
)

// errSilent is the cause of the end of a stream that carried nothing for too long.
var errSilent = fault.New(fault.Unavailable, "nothing came for too long")

// stream makes a call whose answer goes on, and hands its body to read. The client's timeout bounds the time until the answer begins
// and then each wait for more of it, but not the whole.
func (c *Client) stream(ctx context.Context, what call, read func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.timeout, func() { cancel(errSilent) })
	defer silence.Stop()
	resp, err := c.ask(ctx, what)
	if err != nil {
		return c.streamError(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.answeredError(resp)
	}
	body := &patientReader{r: resp.Body, silence: silence, patience: c.timeout}
	err = read(body)
	if err != nil && body.err != nil && errors.Is(err, body.err) {
		return c.streamError(ctx, err)
	}
	return err
}

func (c *Client) streamError(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return fault.New(fault.Unavailable, "%s: %w", c.URL(), errSilent)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Unavailable, "%s broke its answer off", c.URL())
	}
	return c.transportError(ctx, err)
}

// patientReader winds a timer up whenever something comes, and remembers the error that ended it.
type patientReader struct {
	r        io.Reader
	silence  *time.Timer
	patience time.Duration
	err      error
}

func (p *patientReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.silence.Reset(p.patience)
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// Leave makes the node hand everything over and end for good; progress is told now and then how many records are left. When ctx ends, the node goes on
// with it: a later call joins. The error is fault.Unavailable when not everything was handed over within the time given; the node ends all the same.
func (c *Client) Leave(ctx context.Context, opts LeaveOptions, progress func(left int64)) error {
	query := url.Values{}
	if opts.DrainTimeout != 0 {
		query.Set("drain_timeout", opts.DrainTimeout.String())
	}
	return c.stream(ctx, call{method: http.MethodPost, path: leavePath, query: query, accept: v1.LinesType}, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			var line v1.Leaving
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				return c.notADocument(err)
			}
			switch {
			case line.Problem != nil:
				return fault.New(fault.ParseKind(line.Problem.Kind), "%s", line.Problem.Detail)
			case line.Done:
				return nil
			}
			progress(line.Left)
		}
		if err := lines.Err(); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "%s ended its answer before it had left", c.URL())
	})
}

// StopLeaving ends a Leave under way at once, as if its time were up.
func (c *Client) StopLeaving(ctx context.Context) error {
	_, err := document[v1.Leaving](ctx, c, call{method: http.MethodDelete, path: leavePath})
	return err
}

// Backup writes a backup of the node, without its keys, to w. After an error w holds a part of one.
func (c *Client) Backup(ctx context.Context, w io.Writer, opts v1.BackupOptions) error {
	query := url.Values{}
	if opts.NoLedger {
		query.Set("ledger", "false")
	}
	if opts.NoPredecessors {
		query.Set("predecessors", "false")
	}
	return c.stream(ctx, call{method: http.MethodPost, path: backupPath, query: query, accept: backupType}, func(body io.Reader) error {
		_, err := io.Copy(w, body)
		return err
	})
}
