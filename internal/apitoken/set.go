package apitoken

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// Set is the tokens of a file, as they are now: it is read again when it was written. Its methods may be called from many goroutines.
type Set struct {
	file   File
	logger *slog.Logger

	mu     sync.Mutex
	read   os.FileInfo      // guarded by mu; of the file as it was read last, nil: there was none
	tokens map[string]Token // guarded by mu; by id
	// trouble is why the file could not be read last; guarded by mu.
	trouble string
}

// Open reads the tokens of a file, which need not exist.
func Open(file File, logger *slog.Logger) (*Set, error) {
	s := &Set{file: file, logger: logger}
	info, err := file.stamp()
	if err != nil {
		return nil, err
	}
	tokens, err := file.List()
	if err != nil {
		return nil, err
	}
	s.read, s.tokens = info, byID(tokens)
	return s, nil
}

func byID(tokens []Token) map[string]Token {
	m := make(map[string]Token, len(tokens))
	for _, t := range tokens {
		m[t.ID] = t
	}
	return m
}

// Find returns the token that a caller presents, if it is good.
func (s *Set) Find(text string, now time.Time) (Token, bool) {
	id := idOf(text)
	if id == "" {
		return Token{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	t, ok := s.tokens[id]
	if !ok || !t.matches(text) || t.Expired(now) {
		return Token{}, false
	}
	return t, true
}

// Len returns how many tokens there are, those that have expired included.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return len(s.tokens)
}

// refresh needs mu. A file that can't be read leaves those in force that were before, and is tried again at the next request: a token may have been revoked meanwhile. One that is damaged is so until it is written anew.
func (s *Set) refresh() {
	info, err := s.file.stamp()
	if err == nil && same(s.read, info) {
		return
	}
	var data []byte
	if err == nil {
		data, err = s.file.read()
	}
	if err != nil {
		s.keep(err)
		return
	}
	s.read = info
	var tokens []Token
	if data != nil {
		if tokens, err = s.file.decode(data); err != nil {
			s.keep(err)
			return
		}
	}
	s.tokens, s.trouble = byID(tokens), ""
}

// keep needs mu. It says once why the tokens stay as they were: callers without any cause requests, too.
func (s *Set) keep(err error) {
	if s.trouble != err.Error() {
		s.logger.Warn("keep the API's tokens as they were", "error", err)
		s.trouble = err.Error()
	}
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
