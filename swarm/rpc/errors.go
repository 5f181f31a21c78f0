package rpc

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
)

// Reasons for which a call fails; errors.Is finds them. A call that fails because its context is over wraps the context's error instead.
var (
	// ErrUnreachable: no stream could be opened. The request was not sent. Kind fault.Unavailable.
	ErrUnreachable = errors.New("unreachable")
	// ErrStreamLost: the stream broke before the response came. The request may have been carried out. Kind fault.Unavailable.
	ErrStreamLost = errors.New("stream lost")
	// ErrTooLarge: the request is larger than MaxMessage. It was not sent. Kind fault.TooLarge.
	ErrTooLarge = errors.New("message too large")
	// ErrClosed: the client is closed. Kind fault.Unavailable.
	ErrClosed = errors.New("client closed")
)

// Error is a failed call. Its text is made only when it is asked for: calls that are given up are part of normal operation.
type Error struct {
	Peer peer.ID
	// Reason is one of the Err values above, or nil when the context was over.
	Reason error
	// Cause is what lies beneath, or nil.
	Cause error
}

// Error names the peer, the reason and the cause.
func (e *Error) Error() string {
	switch {
	case e.Reason == nil:
		return fmt.Sprintf("call %s: %v", e.Peer, e.Cause)
	case e.Cause == nil:
		return fmt.Sprintf("call %s: %v", e.Peer, e.Reason)
	}
	return fmt.Sprintf("call %s: %v: %v", e.Peer, e.Reason, e.Cause)
}

// Unwrap returns the reason and the cause.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	if e.Reason != nil {
		errs = append(errs, e.Reason)
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

// failed returns the error of a call to p.
func failed(p peer.ID, k fault.Kind, reason, cause error) error {
	return fault.As(k, &Error{Peer: p, Reason: reason, Cause: cause})
}

// abandoned returns the error of a call to p whose context is over.
func abandoned(p peer.ID, cause error) error {
	return &Error{Peer: p, Cause: cause}
}
