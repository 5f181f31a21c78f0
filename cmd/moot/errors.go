package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/folkmoot/folkmoot/api/client"
	"github.com/folkmoot/folkmoot/fault"
)

// Exit codes.
const (
	exitDone       = fault.ExitDone
	exitFailed     = fault.ExitFailed
	exitUsage      = fault.ExitUsage
	exitNotFound   = fault.ExitNotFound
	exitIncomplete = fault.ExitIncomplete
	exitConflict   = fault.ExitConflict
	exitSignal     = 128 // plus the signal's number
)

// exitCode is fault.ExitCode that knows of signals, too.
func exitCode(err error) int {
	if stop, ok := errors.AsType[interruption](err); ok {
		return exitSignal + stop.number()
	}
	return fault.ExitCode(err)
}

// interruption is the error of a command that a signal stopped.
type interruption struct{ signal os.Signal }

func (i interruption) Error() string { return "interrupted" }

func (i interruption) number() int {
	if s, ok := i.signal.(syscall.Signal); ok {
		return int(s)
	}
	return int(syscall.SIGINT)
}

// advised is an error that knows what the user can do next.
type advised struct {
	error
	next string
}

func (e advised) Unwrap() error { return e.error }

// advise adds what to do next to err. The advice given first, nearest to the failure, is kept.
func advise(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[advised](err); ok {
		return err
	}
	return advised{err, fmt.Sprintf(format, args...)}
}

// printError writes err as one line on stderr, or in the log where that is JSON.
func (a *app) printError(err error) {
	text := err.Error()
	if e, ok := errors.AsType[advised](err); ok {
		text += "; " + e.next
	}
	if a.log != nil {
		a.log.Error("moot ends", "error", oneLine(text))
		return
	}
	fmt.Fprintf(a.stderr, "moot: %s\n", oneLine(text))
}

// oneLine makes text fit a line and harmless to a terminal: it may hold what another peer said.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return printable(strings.Join(parts, "; "))
}

// printable replaces what could move the cursor, change colours or turn the direction of writing.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// askFailed says that asking the node for something failed, and advises by kind. What the node answered says what failed on what; on is
// added where it does not.
func (a *app) askFailed(what, on string, err error) error {
	if errors.Is(err, client.ErrNotRunning) {
		return advise(err, "name another node with --api")
	}
	if on == "" {
		err = fmt.Errorf("%s: %w", what, err)
	} else if !strings.Contains(err.Error(), on) {
		err = fmt.Errorf("%s %s: %w", what, quoteKey(on), err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return advise(err, "SSL_CERT_FILE can name its certificate")
	}
	switch fault.KindOf(err) {
	case fault.Unavailable:
		return advise(err, `try again; "moot peers" shows who answers`)
	case fault.Full:
		return advise(err, "make room on the node's disk, or remove records")
	case fault.Internal:
		return advise(err, "the node's log may say more")
	}
	return err
}

// quoteKey quotes a key where it would otherwise run into the text around it.
func quoteKey(key string) string {
	if key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r == ':' || r == ';' || r == '"' || !unicode.IsGraphic(r) || unicode.IsSpace(r)
	}) {
		return key
	}
	return fmt.Sprintf("%q", key)
}
