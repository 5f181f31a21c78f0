package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
)

// versionOf returns the version of a key as the command line tells it.
func versionOf(t *testing.T, b *bench, key string) string {
	t.Helper()
	var doc v1.Record
	if err := json.Unmarshal([]byte(b.must("get", key, "--json")), &doc); err != nil || doc.Version == "" || doc.Copies.Stored != 2 {
		t.Fatalf("%+v, %v", doc, err)
	}
	return doc.Version
}

func TestConditionalWrites(t *testing.T) {
	b := newBench(t)
	b.must("put", "k", "first", "--if-absent")
	b.fails(exitConflict, []string{"put", "k", "other", "--if-absent"}, "k", "exists", "moot get k --json")
	first := versionOf(t, b, "k")
	b.must("put", "k", "second", "--if-version", first)
	b.fails(exitConflict, []string{"put", "k", "other", "--if-version", first}, first)
	b.fails(exitConflict, []string{"rm", "k", "--if-version", first}, first)
	if got := b.must("get", "k"); got != "second" {
		t.Errorf("the value is %q", got)
	}
	b.must("rm", "k", "--if-version", versionOf(t, b, "k"))
	b.must("put", "k", "again", "--if-absent")
}

func TestSessionFiles(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "session")
	read := func() string {
		t.Helper()
		token, err := os.ReadFile(file)
		if st, statErr := os.Stat(file); err != nil || statErr != nil || len(token) < 2 || st.Mode().Perm() != 0o600 {
			t.Fatalf("session %q, %v", token, err)
		}
		return string(token)
	}
	b.must("put", "k", "v", "--session", file)
	first := read()
	if got := b.must("get", "k", "--session", file); got != "v" {
		t.Errorf("got %q", got)
	}
	b.must("put", "other", "v", "--session", file)
	if read() == first {
		t.Error("a write changed nothing in the session")
	}
	b.must("rm", "k", "--session", file)
	before := read()
	b.fails(exitNotFound, []string{"get", "k", "--session", file}, "k")
	read()

	// A node that has not seen what the session has says so rather than answer something older.
	b.env["MOOT_API"] = serve(t, apitest.NewBackend(nil), "")
	b.fails(exitIncomplete, []string{"get", "k", "--session", file}, "session has seen")
	if got := read(); got != before {
		t.Errorf("a failure changed the session from %q to %q", before, got)
	}
	for _, text := range []string{"two words", "\xff", "a\r\nb", strings.Repeat("A", v1.MaxSession+1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.fails(exitUsage, []string{"get", "k", "--session", file}, "holds no session", file)
	}
	b.fails(exitFailed, []string{"get", "k", "--session", filepath.Join(file, "x")}, "session")
}

func TestShellIsASession(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "session")
	b.stdin = "PUT k v\nGET k\n"
	b.must("shell", "--session", file)
	b.env["MOOT_API"] = serve(t, apitest.NewBackend(nil), "")
	b.stdin = "GET k\n"
	b.fails(exitIncomplete, []string{"shell", "--session", file}, "session has seen")
	b.fails(exitNotFound, []string{"shell"}, "k")
}

func TestHolders(t *testing.T) {
	b := newBench(t)
	if _, err := b.backend.PutRecord(t.Context(), "k", []byte("value"), api.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	got := b.must("holders", "k")
	for _, want := range []string{"PEER", apitest.Self, apitest.Other, "synced", versionOf(t, b, "k"), "newest version on 2 of 2; 5 wanted; quorum 2\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	b.must("rm", "k")
	if got := b.must("holders", "k"); !strings.Contains(got, "removed") {
		t.Error(got)
	}
	none := b.moot("holders", "none")
	if none.code != exitNotFound || !strings.Contains(none.stdout, "newest version on 0 of 2") || !strings.Contains(none.err, "nobody who answered holds none") {
		t.Errorf("%+v", none)
	}
	var holding v1.Holding
	if err := json.Unmarshal([]byte(b.must("holders", "k", "--json")), &holding); err != nil || len(holding.Holders) != 2 || !holding.Holders[0].Deleted {
		t.Errorf("%+v, %v", holding, err)
	}
}
