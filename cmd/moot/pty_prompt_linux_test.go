package main

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/bulk"
	"github.com/folkmoot/folkmoot/fault"
)

// TestPassphraseOnATerminal answers the prompts, whose answers are not shown.
func TestPassphraseOnATerminal(t *testing.T) {
	for what, c := range map[string]struct {
		fresh   bool
		answers []string // to the prompts, one after the other
		want    string
		kind    fault.Kind
	}{
		"a known one":          {answers: []string{"secret"}, want: "secret"},
		"a new one":            {fresh: true, answers: []string{"secret", "secret"}, want: "secret"},
		"a new one, mistyped":  {fresh: true, answers: []string{"secret", "secrte"}, kind: fault.Invalid},
		"none":                 {fresh: true, answers: []string{""}},
		"letters of all kinds": {answers: []string{"gänse füßchen"}, want: "gänse füßchen"},
	} {
		t.Run(what, func(t *testing.T) {
			person, program := openTerminal(t)
			seen := watch(person)
			a := &app{
				stdin: program, stdout: new(bytes.Buffer), stderr: program, stdinTerminal: true, stderrTerminal: true,
				lookupEnv: func(string) (string, bool) { return "", false },
			}
			type result struct {
				passphrase string
				err        error
			}
			done := make(chan result, 1)
			go func() {
				p, err := a.passphrase("", c.fresh)
				done <- result{p, err}
			}()
			for i, answer := range c.answers {
				seen.await(t, []string{"key", "The same again: "}[i])
				if i == 0 {
					seen.await(t, ": ")
				}
				awaitSilence(t, program)
				if _, err := person.WriteString(answer + "\n"); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case r := <-done:
				if c.kind == 0 && (r.err != nil || r.passphrase != c.want) || c.kind != 0 && fault.KindOf(r.err) != c.kind {
					t.Errorf("passphrase = %q, %v", r.passphrase, r.err)
				}
			case <-time.After(terminalPatience):
				t.Fatal("the prompt goes on")
			}
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if strings.Contains(seen.text.String(), "sec") {
				t.Error("the passphrase is shown")
			}
		})
	}
}

// awaitSilence waits until what is typed at a terminal is not shown.
func awaitSilence(t *testing.T, terminal *os.File) {
	t.Helper()
	for end := time.Now().Add(terminalPatience); ; time.Sleep(time.Millisecond) {
		var settings syscall.Termios
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings))); errno != 0 {
			t.Fatal(errno)
		}
		if settings.Lflag&syscall.ECHO == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("what is typed is shown")
		}
	}
}

// TestBarsOnATerminal: somebody who looks on sees how many records an export and an import have done.
func TestBarsOnATerminal(t *testing.T) {
	person, program := openTerminal(t)
	seen := watch(person)
	a := &app{stderr: program, stderrTerminal: true}
	exported, imported := a.exportBar(), a.importBar(2000)
	exported.report(bulk.Exported{Records: 7, Bytes: 500})
	seen.await(t, "7 records")
	exported.finish()
	imported.report(bulk.Progress{Records: 9, At: bulk.Position{Offset: 1000}})
	seen.await(t, "9 records")
	imported.finish()
	a.json = true
	if a.exportBar() != (exportBar{}) || a.importBar(1) != (importBar{}) {
		t.Error("bars beside a JSON document")
	}
}
