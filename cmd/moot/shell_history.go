package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/internal/atomicfile"
)

const (
	// historyFile is the name of the shell's history in the home.
	historyFile = "shell_history"
	// maxHistory bounds the lines kept.
	maxHistory = 1000
	// maxHistoryFile bounds the bytes read of a history file, from its end.
	maxHistoryFile = 1 << 20
)

// history is the lines typed at the prompt, kept in a file that only its owner reads. It implements term.History.
type history struct {
	lines []string // oldest first
	file  *os.File // nil: not kept
}

// openHistory reads the history at path and shortens it when it has grown. Without a home to keep it in, it
// lives as long as the shell.
func openHistory(path string) (*history, error) {
	h := &history{}
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err := h.load(path); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	h.file = f
	return h, nil
}

func (h *history) load(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	skipped := max(0, st.Size()-maxHistoryFile)
	data, err := io.ReadAll(io.NewSectionReader(f, skipped, maxHistoryFile))
	if err != nil {
		return err
	}
	text := string(data)
	if skipped > 0 {
		_, text, _ = strings.Cut(text, "\n") // the first line has lost its beginning
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			h.lines = append(h.lines, line)
		}
	}
	if len(h.lines) <= maxHistory && skipped == 0 && st.Mode().Perm() == 0o600 {
		return nil
	}
	h.lines = slices.Clone(h.lines[max(0, len(h.lines)-maxHistory):])
	return atomicfile.Write(path, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
}

// Add adds a line, unless it is empty or says the same as the one before it.
func (h *history) Add(line string) {
	if line == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if len(h.lines) > maxHistory {
		h.lines = h.lines[1:]
	}
	if h.file != nil {
		_, _ = h.file.WriteString(line + "\n") // a history that cannot be kept is no reason to stop
	}
}

// Len returns how many lines there are.
func (h *history) Len() int { return len(h.lines) }

// At returns a line; 0 is the newest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

func (h *history) close() {
	if h.file != nil {
		h.file.Close()
	}
}
