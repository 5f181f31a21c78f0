// Package apitoken keeps the tokens of a node's API: what each may do, and the digest by which it is known. The token itself is shown once, when it is made.
package apitoken

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/folkmoot/folkmoot/fault"
)

// Scope is what a token may do.
type Scope string

// The scopes. Each covers those before it.
const (
	// Read sees everything, but for backups.
	Read Scope = "read"
	// Write changes records, publishes, pings and hands in transactions.
	Write Scope = "write"
	// Admin ends the node and backs it up.
	Admin Scope = "admin"
)

// scopes are all, the least first.
var scopes = []Scope{Read, Write, Admin}

// Scopes returns the names of the scopes, the least first.
func Scopes() []string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return names
}

// Covers says whether who has scope s may do what needs other.
func (s Scope) Covers(other Scope) bool {
	i, k := slices.Index(scopes, s), slices.Index(scopes, other)
	return i >= 0 && k >= 0 && i >= k
}

// Bounds of tokens.
const (
	// MaxTokens is how many a node has at most.
	MaxTokens = 1000
	// MaxName is the length limit of a name, in bytes.
	MaxName = 64

	prefix = "moot_"
	// idLength is that of an id in characters; of 32 each.
	idLength = 8
)

// Token is what is kept of a token.
type Token struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Scope Scope  `json:"scope"`
	// Digest is the SHA-256 of the token, in hexadecimal. A token has 130 bits that nobody can guess, so that no slow hash is needed.
	Digest  string    `json:"sha256"`
	Created time.Time `json:"created"`
	// Expires is zero for a token that is good until it is revoked.
	Expires time.Time `json:"expires,omitzero"`
}

// Expired says whether the token is good no more.
func (t *Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// Random returns a new token and its id. Nobody knows it yet.
func Random() (text, id string) {
	id = strings.ToLower(rand.Text())[:idLength]
	return prefix + id + "_" + rand.Text(), id
}

// makeToken returns a new token.
func makeToken(name string, scope Scope, now, expires time.Time) (text string, t Token) {
	text, id := Random()
	return text, Token{ID: id, Name: name, Scope: scope, Digest: digestOf(text), Created: now.UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second)}
}

func digestOf(text string) string {
	d := sha256.Sum256([]byte(text))
	return hex.EncodeToString(d[:])
}

// matches says whether text is the token. How long that takes says nothing about the digest.
func (t *Token) matches(text string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Digest), []byte(digestOf(text))) == 1
}

// check refuses what no token can be.
func (t *Token) check() error {
	digest, err := hex.DecodeString(t.Digest)
	switch {
	case err != nil || len(digest) != sha256.Size:
		return fault.New(fault.Invalid, "token %.20q has no SHA-256", t.ID)
	case len(t.ID) != idLength || strings.Trim(t.ID, "abcdefghijklmnopqrstuvwxyz234567") != "":
		return fault.New(fault.Invalid, "%.20q is no id of a token", t.ID)
	case !slices.Contains(scopes, t.Scope):
		return fault.New(fault.Invalid, "token %s: scope %.20q: want %s", t.ID, t.Scope, strings.Join(Scopes(), ", "))
	}
	return checkName(t.Name)
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.New(fault.Invalid, "name %.70q of a token: want 1 to %d bytes of text", name, MaxName)
	}
	return nil
}

// idOf returns the id that is part of a token, "" where text can't be one.
func idOf(text string) string {
	rest, ok := strings.CutPrefix(text, prefix)
	id, _, cut := strings.Cut(rest, "_")
	if !ok || !cut || len(id) != idLength {
		return ""
	}
	return id
}
