package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"
)

const (
	shellPrompt = "moot> "
	keyTab      = '\t'
	keyCtrlC    = 3
)

// errInterrupted is the error of a line that was given up with Ctrl-C.
var errInterrupted = errors.New("interrupted")

// console reads lines from a terminal. The terminal is raw only while a line is typed, so that Ctrl-C reaches a command that runs.
type console struct {
	fd      int
	keys    io.Reader
	out     io.Writer
	history *history
	editor  *term.Terminal
	// complete is called for the tab key.
	complete func(before []string, begun string) []string
}

func newConsole(ctx context.Context, s *shell) (*console, error) {
	in, ok := s.app.stdin.(*os.File)
	if !ok {
		return nil, errors.New("read the terminal: it is no file")
	}
	h := &history{}
	if s.app.home != "" {
		var err error
		if h, err = openHistory(filepath.Join(s.app.home, historyFile)); err != nil {
			return nil, err
		}
	}
	c := &console{
		fd: int(in.Fd()), keys: interruptible(abandonable(ctx, in)), out: s.app.stdout, history: h,
		complete: func(before []string, begun string) []string { return s.complete(ctx, before, begun) },
	}
	c.newEditor()
	return c, nil
}

// newEditor starts with an empty line; what was typed ahead stays.
func (c *console) newEditor() {
	c.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{c.keys, c.out}, shellPrompt)
	c.editor.History = c.history
	c.editor.AutoCompleteCallback = c.keyPressed
}

// readLine reads one line; after Ctrl-C, another in its place. The error is io.EOF after Ctrl-D.
func (c *console) readLine() (string, error) {
	before, err := term.MakeRaw(c.fd)
	if err != nil {
		return "", fmt.Errorf("prepare the terminal: %w", err)
	}
	if width, height, err := term.GetSize(c.fd); err == nil && width > 0 {
		_ = c.editor.SetSize(width, height) // a line that wraps wrongly is still a line
	}
	line, err := c.editor.ReadLine()
	for errors.Is(err, errInterrupted) {
		fmt.Fprint(c.out, "^C\r\n")
		c.newEditor()
		line, err = c.editor.ReadLine()
	}
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	if restoreErr := term.Restore(c.fd, before); restoreErr != nil {
		return "", fmt.Errorf("restore the terminal: %w", restoreErr)
	}
	return line, err
}

// keyPressed completes the word before the cursor at the tab key.
func (c *console) keyPressed(line string, pos int, key rune) (newLine string, newPos int, ok bool) {
	if key != keyTab {
		return "", 0, false
	}
	completed, choices := completeLine(line[:pos], c.complete)
	if completed == line[:pos] && len(choices) > 1 {
		fmt.Fprintf(c.editor, "%s\n", strings.Join(choices, "  "))
	}
	return completed + line[pos:], len(completed), true
}

// interruptible returns a reader of keys that fails with errInterrupted at Ctrl-C, and then reads on behind it.
func interruptible(keys io.Reader) io.Reader {
	var ahead []byte
	buf := make([]byte, 256)
	return readerFunc(func(p []byte) (int, error) {
		if len(ahead) == 0 {
			n, err := keys.Read(buf)
			if n == 0 {
				return 0, err
			}
			ahead = buf[:n]
		}
		if ahead[0] == keyCtrlC {
			ahead = ahead[1:]
			return 0, errInterrupted
		}
		part := ahead
		if i := bytes.IndexByte(ahead, keyCtrlC); i > 0 {
			part = ahead[:i]
		}
		n := copy(p, part)
		ahead = ahead[n:]
		return n, nil
	})
}
