package apitoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/internal/privatefile"
)

// format is the version of the file.
const format = 1

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// File is the path of the file with a node's tokens. It need not exist.
type File string

type document struct {
	Format int     `json:"format"`
	Tokens []Token `json:"tokens"`
}

// List returns the tokens in the order in which they were made.
func (f File) List() ([]Token, error) {
	data, err := f.read()
	if err != nil || data == nil {
		return nil, err
	}
	return f.decode(data)
}

// read returns the bytes of the file, nil where there is none.
func (f File) read() ([]byte, error) {
	data, err := privatefile.Read(string(f), maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fault.New(fault.Invalid, "read the API's tokens in %s: %w", f, err)
	}
	return data, nil
}

func (f File) decode(data []byte) ([]Token, error) {
	tokens, err := decode(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is damaged: %w; remove it, and make the tokens anew", f, err)
	}
	return tokens, nil
}

func decode(data []byte) ([]Token, error) {
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if doc.Format != format {
		return nil, fmt.Errorf("format %d: this program reads %d", doc.Format, format)
	}
	if len(doc.Tokens) > MaxTokens {
		return nil, fmt.Errorf("%d tokens: at most %d are allowed", len(doc.Tokens), MaxTokens)
	}
	known := make(map[string]bool, len(doc.Tokens))
	for i := range doc.Tokens {
		t := &doc.Tokens[i]
		if err := t.check(); err != nil {
			return nil, err
		}
		if known[t.ID] {
			return nil, fmt.Errorf("token %s is there twice", t.ID)
		}
		known[t.ID] = true
	}
	return doc.Tokens, nil
}

// Add makes a token and keeps what is to be kept of it; expires may be zero. The text is nowhere but here.
func (f File) Add(name string, scope Scope, now, expires time.Time) (text string, t Token, err error) {
	text, t = makeToken(name, scope, now, expires)
	if err := t.check(); err != nil {
		return "", Token{}, err
	}
	err = f.change(func(tokens []Token) ([]Token, error) {
		tokens = slices.DeleteFunc(tokens, func(t Token) bool { return t.Expired(now) })
		switch {
		case slices.ContainsFunc(tokens, func(other Token) bool { return other.Name == name }):
			return nil, fault.New(fault.Conflict, "there is a token called %q: revoke it first, or choose another name", name)
		case len(tokens) >= MaxTokens:
			return nil, fault.New(fault.Full, "there are %d tokens: revoke some first", len(tokens))
		}
		return append(tokens, t), nil
	})
	return text, t, err
}

// Revoke forgets the token with an id or name. A node that runs heeds that at its next request.
func (f File) Revoke(which string) (t Token, err error) {
	err = f.change(func(tokens []Token) ([]Token, error) {
		i := slices.IndexFunc(tokens, func(t Token) bool { return t.ID == which })
		if i < 0 {
			i = slices.IndexFunc(tokens, func(t Token) bool { return t.Name == which })
		}
		if i < 0 {
			return nil, fault.New(fault.NotFound, "there is no token %.70q", which)
		}
		t = tokens[i]
		return slices.Delete(tokens, i, i+1), nil
	})
	return t, err
}

// change rewrites the file, while no other process does.
func (f File) change(edit func([]Token) ([]Token, error)) error {
	lock := flock.New(string(f)+".lock", flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock the API's tokens: %w", err)
	}
	defer lock.Unlock()
	tokens, err := f.List()
	if err != nil {
		return err
	}
	if tokens, err = edit(tokens); err != nil {
		return err
	}
	data, err := json.MarshalIndent(document{format, tokens}, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(string(f), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the API's tokens: %w", err)
	}
	return nil
}

// stamp tells a file from what is written in its place.
func (f File) stamp() (os.FileInfo, error) {
	info, err := os.Stat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}
