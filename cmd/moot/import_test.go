package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func writeInput(t *testing.T, b *bench, name, text string) string {
	t.Helper()
	path := filepath.Join(b.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImport(t *testing.T) {
	b := newBench(t)
	file := writeInput(t, b, "in.jsonl", `{"key":"a","value":"1"}`+"\n"+`{"key":"b","value_base64":"/w=="}`+"\n")
	if got := b.must("import", file); !strings.HasPrefix(got, "imported 2 records (4 B) in ") {
		t.Error(got)
	}
	if a, bb := b.must("get", "a"), b.must("get", "b"); a != "1" || bb != "\xff" {
		t.Errorf("stored %q and %q", a, bb)
	}
	if left, _ := os.ReadDir(filepath.Join(b.home, "imports")); len(left) > 0 {
		t.Errorf("%d state files left", len(left))
	}
	b.fails(exitFailed, []string{"import", file + "-not"}, "no such file")
	b.fails(exitUsage, []string{"import", b.home}, "is a folder")
	b.fails(exitNotFound, []string{"import", file, "--resume"}, "leave --resume out")
}

func TestImportStopsAtABadLineAndResumes(t *testing.T) {
	b := newBench(t)
	file := writeInput(t, b, "in.tsv", "a\t1\nbad\nb\t2\nalso bad\n")
	got := b.moot("import", file)
	if got.code != exitUsage || !strings.Contains(got.err, file+":2: no tab") || !strings.Contains(got.err, file+":4: no tab") ||
		!strings.Contains(got.err, "stopped after line 1: 2 bad lines") ||
		!strings.Contains(got.err, "moot import "+file+" --home "+b.home+" --api "+b.env["MOOT_API"]+" --resume") {
		t.Errorf("%+v", got)
	}
	b.fails(exitNotFound, []string{"get", "b"}, "b")
	writeInput(t, b, "in.tsv", "a\t1\nbad\tmended\nb\t2\nc\t3\n")
	b.must("rm", "a")
	if got := b.must("import", file, "--resume"); !strings.Contains(got, "imported 3 records") || !strings.Contains(got, "after line 1") {
		t.Error(got)
	}
	b.fails(exitNotFound, []string{"get", "a"}, "a") // it was not written again
	if got := b.must("get", "bad"); got != "mended" {
		t.Error(got)
	}
}

func TestImportSkipsBadLines(t *testing.T) {
	b := newBench(t)
	b.stdin = "a\t1\n" + strings.Repeat("bad\n", 30) + "\x01\tcontrol\nb\t2\n"
	got := b.moot("import", "-", "--skip-bad")
	if got.code != exitDone || !strings.Contains(got.stdout, "imported 2 records") || !strings.Contains(got.stdout, "31 bad lines skipped") ||
		strings.Count(got.err, "\n") != 21 || !strings.Contains(got.err, "and 11 bad lines more") {
		t.Errorf("%+v", got)
	}
}

func TestImportJSON(t *testing.T) {
	b := newBench(t)
	b.stdin = "a\t1\nbad\n"
	got := b.moot("import", "-", "--json")
	var s importSummary
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil || got.code != exitUsage || strings.Count(got.err, "\n") != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	if s.Complete || s.Records != 1 || s.BadLines != 1 || len(s.Bad) != 1 || s.Bad[0].Line != 2 || s.Line != 1 {
		t.Errorf("%+v", s)
	}
}

func TestImportFailsAndResumes(t *testing.T) {
	b := newBench(t)
	state := filepath.Join(t.TempDir(), "state")
	writes := 0
	b.backend.Intercept(func(_ context.Context, method string) error {
		if method == "PutRecord" {
			if writes++; writes > 3 {
				return fault.New(fault.Full, "the disk is full")
			}
		}
		return nil
	})
	b.stdin = "a\t1\nb\t2\nc\t3\nd\t4\ne\t5\n"
	got := b.moot("import", "-", "--concurrency", "1", "--state", state)
	if got.code != exitFailed || !strings.Contains(got.err, "stopped after line 3: line 4: ") || !strings.Contains(got.err, "--state "+state+" --resume") {
		t.Fatalf("%+v", got)
	}
	b.backend.Intercept(nil)
	good := b.stdin
	b.stdin = "a\t1\nb\tother\nc\t3\nd\t4\n"
	got = b.moot("import", "-", "--state", state, "--resume")
	if got.code != exitConflict || !strings.Contains(got.err, "the first 3 lines are not those that were imported; leave --resume out") {
		t.Errorf("%+v", got)
	}
	b.stdin = good
	if got := b.must("import", "-", "--state", state, "--resume"); !strings.Contains(got, "imported 2 records") {
		t.Error(got)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state of a complete import is left")
	}
}

func TestImportOfExpiringRecords(t *testing.T) {
	b := newBench(t)
	b.stdin = `{"key":"old","value":"1","expires":"2001-01-01T00:00:00Z"}` + "\n"
	got := b.moot("import", "-")
	if got.code != exitUsage || !strings.Contains(got.err, "the record's life ended at 2001-01-01T00:00:00Z") {
		t.Errorf("%+v", got)
	}
	b.stdin = `{"key":"new","value":"1","expires":"2201-01-01T00:00:00Z"}` + "\n"
	b.must("import", "-")
	if got := b.must("get", "new", "--json"); !strings.Contains(got, `"expires": "2200-12-31T`) && !strings.Contains(got, `"expires": "2201-01-01T`) {
		t.Error(got)
	}
}
