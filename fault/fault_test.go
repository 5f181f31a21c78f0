package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func TestKindSurvivesWrapping(t *testing.T) {
	cause := io.ErrUnexpectedEOF
	err := fmt.Errorf("get %q: %w", "k", fault.New(fault.NotFound, "no holder has it: %w", cause))
	if got := fault.KindOf(err); got != fault.NotFound {
		t.Errorf("kind %v, want not-found", got)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got, want := err.Error(), `get "k": no holder has it: unexpected EOF`; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
}

func TestOutermostKindWins(t *testing.T) {
	inner := fault.New(fault.NotFound, "inner")
	if got := fault.KindOf(fault.As(fault.Unavailable, inner)); got != fault.Unavailable {
		t.Errorf("kind %v, want unavailable", got)
	}
}

func TestKindsWithoutOne(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault.Kind
	}{
		{nil, fault.Internal},
		{io.EOF, fault.Internal},
		{context.Canceled, fault.Internal},
		{fmt.Errorf("ask: %w", context.DeadlineExceeded), fault.Unavailable},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
	if fault.As(fault.Conflict, nil) != nil {
		t.Error("As made an error of nil")
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for k := fault.Internal; k <= fault.Full; k++ {
		if got := fault.ParseKind(k.String()); got != k {
			t.Errorf("ParseKind(%q) = %v, want %v", k.String(), got, k)
		}
	}
	if got := fault.ParseKind("no such kind"); got != fault.Internal {
		t.Errorf("unknown name: %v, want internal", got)
	}
}
