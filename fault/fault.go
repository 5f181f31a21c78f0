// Package fault gives errors a kind, so that each boundary (exit codes of the command line, problem documents of the
// HTTP API) maps kinds once and no caller has to read error texts.
//
// An error without a kind is Internal. Wrapping with fmt.Errorf and %w keeps the kind.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is, which decides what a caller can do about it.
type Kind uint8

const (
	// Internal is a failure that the caller cannot mend by asking differently.
	Internal Kind = iota
	// Invalid is input that can never be accepted: the caller must change it.
	Invalid
	// NotFound says that enough peers answered to be sure that the thing does not exist.
	NotFound
	// Unavailable says that too few peers answered in time; the same request may succeed later.
	Unavailable
	// Conflict says that a condition of the request did not hold.
	Conflict
	// TooLarge is input over a documented bound.
	TooLarge
	// Forbidden is a request that this caller may not make.
	Forbidden
	// Full says that a quota or the disk has no room.
	Full
)

var names = [...]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not-found", Unavailable: "unavailable",
	Conflict: "conflict", TooLarge: "too-large", Forbidden: "forbidden", Full: "full",
}

// String returns the kind's name as it appears in logs and in the type of problem documents.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// ParseKind is the inverse of String. Unknown names are Internal.
func ParseKind(name string) Kind {
	for k, n := range names {
		if n == name {
			return Kind(k)
		}
	}
	return Internal
}

type kinded struct {
	kind Kind
	err  error
}

func (e *kinded) Error() string { return e.err.Error() }
func (e *kinded) Unwrap() error { return e.err }

// New returns an error of kind k; format and args are those of fmt.Errorf, %w included.
func New(k Kind, format string, args ...any) error {
	return &kinded{kind: k, err: fmt.Errorf(format, args...)}
}

// As returns err with kind k in place of the one it had. As(k, nil) is nil.
func As(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kinded{kind: k, err: err}
}

// KindOf returns the kind of the outermost kinded error in err's chain. A deadline that passed is Unavailable; anything else without a
// kind, nil included, is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*kinded](err); ok {
		return e.kind
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}
