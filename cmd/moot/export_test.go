package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
)

func fill(t *testing.T, b *bench, records int) {
	t.Helper()
	for i := range records {
		value := fmt.Appendf(nil, "value %d", i)
		if i%3 == 0 {
			value = append(value, 0xff, 0, '\n')
		}
		if _, err := b.backend.PutRecord(t.Context(), fmt.Sprintf("k/%05d", i), value, api.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExportToImport(t *testing.T) {
	const records = 2300
	b := newBench(t)
	fill(t, b, records)
	file := filepath.Join(t.TempDir(), "records.jsonl")
	if got := b.must("export", "--output", file); !strings.HasPrefix(got, "exported 2,300 records (") {
		t.Error(got)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.must("export"); got != string(text) {
		t.Errorf("standard output gets %d bytes, the file has %d", len(got), len(text))
	}
	other := apitest.NewBackend(nil)
	b.env["MOOT_API"] = serve(t, other, "")
	b.must("import", file)
	for i := range records {
		key := fmt.Sprintf("k/%05d", i)
		got, err := other.GetRecord(t.Context(), key, api.GetOptions{})
		want, wantErr := b.backend.GetRecord(t.Context(), key, api.GetOptions{})
		if err != nil || wantErr != nil || string(got.Value) != string(want.Value) {
			t.Fatalf("%s: %q, want %q, %v, %v", key, got.Value, want.Value, err, wantErr)
		}
	}
}

func TestExportResumes(t *testing.T) {
	b := newBench(t)
	fill(t, b, 30)
	file := filepath.Join(t.TempDir(), "records.jsonl")
	b.fails(exitNotFound, []string{"export", "-o", file, "--resume"}, "leave --resume out")
	whole := b.must("export")
	if err := os.WriteFile(file+partialSuffix, []byte(whole[:len(whole)/2]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := b.must("export", "-o", file, "--resume"); !strings.HasPrefix(got, "exported 1") {
		t.Error(got)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != whole {
		t.Errorf("%d bytes, want %d, %v", len(got), len(whole), err)
	}
	if err := os.WriteFile(file+partialSuffix, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(exitConflict, []string{"export", "other/", "-o", file, "--resume"}, "another prefix")
}

func TestIncompleteExportSaysSo(t *testing.T) {
	b := newBench(t)
	fill(t, b, 3)
	file := filepath.Join(t.TempDir(), "records.jsonl")
	b.must("export", "-o", file)
	before, _ := os.ReadFile(file)
	b.backend.SetMissing(apitest.Other)
	b.fails(exitIncomplete, []string{"export", "-o", file}, "do not answer", "moot peers")
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("an export that failed left %q, %v", after, err)
	}
	got := b.moot("export", "-o", file, "--skip-unreadable", "--json")
	var summary exportSummary
	if err := json.Unmarshal([]byte(got.stdout), &summary); err != nil || got.code != exitIncomplete || summary.Complete || summary.Records != 3 || len(summary.Missing) != 1 {
		t.Errorf("%+v, %+v, %v", got, summary, err)
	}
	b.fails(exitUsage, []string{"export", "--json"}, "--output")
	b.fails(exitUsage, []string{"export", "--resume"}, "--output")
	b.fails(exitUsage, []string{"export", "--concurrency", "0"}, "--concurrency")
	b.fails(exitUsage, []string{"export", "a\x01"}, "control character")
	b.fails(exitFailed, []string{"export", "-o", filepath.Join(file, "x")}, "--output")
}
