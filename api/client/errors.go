package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"syscall"

	"github.com/folkmoot/folkmoot/fault"
)

// ErrNotRunning is what errors.Is finds in the error of a call that nothing answered: no program listens at the address. Its kind is fault.Unavailable.
var ErrNotRunning = errors.New("no node answers")

// notRunning is an ErrNotRunning that knows where.
type notRunning struct {
	url   string
	cause error
}

func (e *notRunning) Error() string {
	return fmt.Sprintf("no node answers at %s: start one with `moot run`", e.url)
}
func (e *notRunning) Is(target error) bool { return target == ErrNotRunning }
func (e *notRunning) Unwrap() error        { return e.cause }

// transportError gives a kind to the error of a call that got no whole answer.
func (c *Client) transportError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // its text would repeat the method and the URL
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), c.socket != "" && errors.Is(err, fs.ErrNotExist):
		return fault.As(fault.Unavailable, &notRunning{url: c.URL(), cause: err})
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "%s did not answer in time: %w", c.URL(), err)
	case ctx.Err() != nil:
		return fmt.Errorf("ask %s: %w", c.URL(), ctx.Err())
	case fault.KindOf(err) == fault.TooLarge:
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.New(fault.Invalid, "the certificate of %s is not trusted: name the authority that signed it: %w", c.URL(), err)
	}
	return fault.New(fault.Unavailable, "ask %s: %w", c.URL(), err)
}
