package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
)

// addSession declares the option of every command that reads or writes records.
func addSession(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "session", "", "`FILE` that carries a session from command to command: reads see its writes and never go backwards")
}

// session is a session that a file carries, or one of this command alone when there is no file.
type session struct {
	*client.Session
	file string
	// kept is the token that the file holds.
	kept string
}

// openSession returns the session that goes on from the file, which need not exist yet; "" is a session of its own.
func openSession(c *client.Client, file string) (*session, error) {
	if file == "" {
		return &session{Session: c.NewSession("")}, nil
	}
	token, err := readSession(file)
	if err != nil {
		return nil, fmt.Errorf("read the session: %w", err)
	}
	return &session{Session: c.NewSession(token), file: file, kept: token}, nil
}

// sessionToken is what a token looks like; the node knows whether it is one.
var sessionToken = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

func readSession(file string) (string, error) {
	return readToken(file, v1.MaxSession, sessionToken, "session", "name a new file to begin one")
}

// readToken returns the line of up to max bytes that a file holds, or "" where there is no file. What it has to look like is given, and for errors what it is and what to do.
func readToken(file string, max int, form *regexp.Regexp, what, advice string) (string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(max)+2))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if len(token) > max || !form.MatchString(token) {
		return "", advise(fault.New(fault.Invalid, "%s holds no %s", file, what), "%s", advice)
	}
	return token, nil
}

// keep writes the session to its file when it went on. It is called after success and failure: an answer that there is no record counts too.
func (s *session) keep() error {
	token := s.Token()
	if s.file == "" || token == s.kept {
		return nil
	}
	if err := atomicfile.Write(s.file, []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	s.kept = token
	return nil
}
