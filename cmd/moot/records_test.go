package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

func TestPutAndGetExactBytes(t *testing.T) {
	b := newBench(t)
	for name, value := range map[string]string{
		"text": "hello", "empty": "", "newline": "a\n", "binary": "\x00\xff\x1b[31m", "largest": strings.Repeat("x", v1.MaxValue),
	} {
		b.stdin = value
		if got := b.must("put", name, "--file", "-"); !strings.HasPrefix(got, "stored "+name+" version ") || !strings.HasSuffix(got, " on 2 of 2; 5 wanted\n") {
			t.Errorf("%s: %s", name, got)
		}
		if got := b.must("get", name); got != value {
			t.Errorf("%s: got %.100q", name, got)
		}
	}
}

func TestKeysAreNotPaths(t *testing.T) {
	b := newBench(t)
	keys := []string{"a//b", "a/../b", "/", ".", "..", "a%2Fb", "ü€𝄞", "a b", "?x=1#y", "-dash"}
	for _, key := range keys {
		b.must("put", "--", key, "value of "+key)
	}
	for _, key := range keys {
		if got := b.must("get", "--", key); got != "value of "+key {
			t.Errorf("%q: %q", key, got)
		}
	}
	var list struct{ Records []v1.Entry }
	if err := json.Unmarshal([]byte(b.must("ls", "--json")), &list); err != nil || len(list.Records) != len(keys) {
		t.Errorf("%d keys listed, %v", len(list.Records), err)
	}
}

func TestWhatNoRecordCanBe(t *testing.T) {
	b := newBench(t)
	b.backend.Intercept(func(context.Context, string) error {
		t.Error("the node was asked")
		return nil
	})
	long, file := strings.Repeat("k", v1.MaxKey+1), filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, v1.MaxValue+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", long, "a\nb", "\x7f", "\u0085", "\xff"} {
		for _, command := range [][]string{{"put", key, "v"}, {"get", key}, {"rm", key}, {"provide", key}, {"providers", key}, {"holders", key}} {
			b.fails(exitUsage, command, "key")
		}
	}
	b.fails(exitUsage, []string{"put", "k", "--file", file}, "1 MiB")
	b.fails(exitUsage, []string{"put", "k", "v", "--ttl", "-5s"}, "--ttl", "negative")
	b.fails(exitUsage, []string{"ls", "a\x01"}, "control character")
	b.fails(exitUsage, []string{"ls", "--limit", "-1"}, "--limit")
	b.fails(exitFailed, []string{"put", "k", "--file", file + "-not"}, "no such file", "--file")
}

func TestGetOnATerminal(t *testing.T) {
	b := newBench(t)
	b.must("put", "text", "two\tlines\nof text")
	b.must("put", "line", "line\n")
	b.stdin = "a\x1b[2Jb"
	b.must("put", "escape", "--file", "-")
	b.terminal = true
	if got := b.must("get", "text"); got != "two\tlines\nof text\n" {
		t.Errorf("%q", got)
	}
	if got := b.must("get", "line"); got != "line\n" {
		t.Errorf("%q", got)
	}
	b.fails(exitUsage, []string{"get", "escape"}, "not text", "--output")
	if got := b.must("get", "escape", "-o", "-"); got != b.stdin {
		t.Errorf("%q", got)
	}
}

func TestGetToAFile(t *testing.T) {
	b := newBench(t)
	b.must("put", "k", "new")
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old, and longer"), 0o640); err != nil {
		t.Fatal(err)
	}
	b.fails(exitNotFound, []string{"get", "none", "--output", path}, "none", "moot ls")
	if got, _ := os.ReadFile(path); string(got) != "old, and longer" {
		t.Errorf("a get that failed left %q", got)
	}
	if got := b.must("get", "k", "--output", path); got != "" {
		t.Errorf("printed %q", got)
	}
	got, err := os.ReadFile(path)
	if st, statErr := os.Stat(path); err != nil || statErr != nil || string(got) != "new" || st.Mode().Perm() != 0o640 {
		t.Errorf("%q, mode %v, %v", got, st.Mode(), err)
	}
	b.fails(exitFailed, []string{"get", "k", "--output", filepath.Join(dir, "none", "file")}, "write the value")
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files left, want 1", len(entries))
	}
}

func TestListPagesThroughEverything(t *testing.T) {
	b := newBench(t)
	var want strings.Builder
	for i := range 2600 {
		key := fmt.Sprintf("%c%02d", 'a'+i/100, i%100)
		if _, err := b.backend.PutRecord(t.Context(), key, nil, api.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		want.WriteString(key + "\n")
	}
	if got := b.must("ls"); got != want.String() {
		t.Errorf("%d lines, want 2600", strings.Count(got, "\n"))
	}
	for _, limit := range []int{1, 999, 1000, 1001, 2599, 2600, 9999} {
		var list struct {
			Records             []v1.Entry
			Complete, Truncated bool
		}
		if err := json.Unmarshal([]byte(b.must("ls", "--json", "--limit", fmt.Sprint(limit))), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Records) != min(limit, 2600) || list.Truncated != (limit < 2600) || !list.Complete {
			t.Errorf("limit %d: %d records, truncated %t, complete %t", limit, len(list.Records), list.Truncated, list.Complete)
		}
	}
	if got := b.must("ls", "b0"); strings.Count(got, "\n") != 10 {
		t.Errorf("ls b0: %q", got)
	}
	if got := b.must("ls", "none", "--json"); !strings.Contains(got, `"records": []`) || !json.Valid([]byte(got)) {
		t.Errorf("an empty list: %s", got)
	}
}

func TestIncompleteListSaysSo(t *testing.T) {
	b := newBench(t)
	b.must("put", "k", "v")
	b.backend.SetMissing(apitest.Other)
	for _, args := range [][]string{{"ls"}, {"ls", "-l"}, {"ls", "--json"}} {
		got := b.moot(args...)
		if got.code != exitIncomplete || !strings.Contains(got.stdout, "k") || !strings.Contains(got.err, "1 peer did not answer") {
			t.Errorf("%q: %+v", args, got)
		}
		if args[1:] != nil && args[len(args)-1] == "--json" && (!json.Valid([]byte(got.stdout)) || !strings.Contains(got.stdout, `"complete": false`)) {
			t.Errorf("document: %s", got.stdout)
		}
	}
	b.must("ls", "--local")
}

// TestExitCodes holds every kind of error to its exit code, through the API and back.
func TestExitCodes(t *testing.T) {
	b := newBench(t)
	for kind, code := range map[fault.Kind]int{
		fault.Internal: 1, fault.Invalid: 2, fault.NotFound: 3, fault.Unavailable: 4, fault.Conflict: 5,
		fault.TooLarge: 2, fault.Forbidden: 1, fault.Full: 1,
	} {
		b.backend.Intercept(func(_ context.Context, method string) error {
			return fault.New(kind, "%s: refused\nwith \x1b[31ma second line", method)
		})
		for _, args := range [][]string{{"put", "k", "v"}, {"get", "k"}, {"rm", "k"}, {"ls"}, {"provide", "k"}, {"providers", "k"},
			{"holders", "k"}, {"peers"}, {"status"}, {"find", apitest.Other}, {"ping", apitest.Other}, {"get", "k", "--json"}, {"ls", "--json"}} {
			b.fails(code, args, "refused")
		}
	}
}

func TestRemoveProvideAndProviders(t *testing.T) {
	b := newBench(t)
	b.must("put", "k", "v")
	if got := b.must("rm", "k"); !strings.HasPrefix(got, "removed k version ") {
		t.Error(got)
	}
	b.fails(exitNotFound, []string{"get", "k"}, "k", "moot ls")
	b.fails(exitNotFound, []string{"providers", "k"}, "nobody provides it")
	if got := b.must("provide", "k"); !strings.HasPrefix(got, "providing k until ") || !strings.HasSuffix(got, " on 2 of 2; 5 wanted\n") {
		t.Error(got)
	}
	if got := b.must("providers", "k"); got != apitest.Self+"  /ip4/192.0.2.1/tcp/4242\n" {
		t.Error(got)
	}
}

// TestJSONIsOneDocument runs every command that answers with --json.
func TestJSONIsOneDocument(t *testing.T) {
	b := newBench(t)
	b.stdin = "a\t1\n"
	for _, args := range [][]string{
		{"put", "k", "v"}, {"get", "k"}, {"ls"}, {"provide", "k"}, {"providers", "k"}, {"status"}, {"peers"}, {"find", apitest.Other},
		{"ping", apitest.Other, "-c", "1"}, {"import", "-"}, {"holders", "k"}, {"rm", "k"}, {"version"},
	} {
		var doc map[string]any
		if err := json.Unmarshal([]byte(b.must(append(args, "--json")...)), &doc); err != nil || len(doc) == 0 {
			t.Errorf("%q: %v", args, err)
		}
	}
}
