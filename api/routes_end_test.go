package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/api/apitest"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// leaving decodes the lines of a leave's answer.
func leaving(t *testing.T, a answer) (lines []v1.Leaving) {
	t.Helper()
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != v1.LinesType {
		t.Fatalf("%s %v", a.Status, a.Header)
	}
	for line := range bytes.Lines(a.body) {
		var l v1.Leaving
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestLeaveTellsHowItGoes(t *testing.T) {
	backend := apitest.NewBackend(nil)
	s := serve(t, api.Config{Backend: backend})
	backend.SetLeave(nil, 20, 7, 0)
	lines := leaving(t, ask(t, s, "POST", "/v1/leave?drain_timeout=90s"))
	if fmt.Sprint(lines) != fmt.Sprint([]v1.Leaving{{Left: 20}, {Left: 7}, {}, {Done: true}}) || !backend.Left() {
		t.Errorf("lines %+v", lines)
	}
	backend.SetLeave(nil, 9, 3)
	lines = leaving(t, ask(t, s, "POST", "/v1/leave"))
	last := lines[len(lines)-1]
	if len(lines) != 3 || !last.Done || last.Left != 3 || last.Problem == nil || last.Problem.Kind != "unavailable" {
		t.Errorf("lines %+v", lines)
	}
	for _, bad := range []string{"0s", "-1s", "soon", "25h"} {
		ask(t, s, "POST", "/v1/leave?drain_timeout="+bad).wantProblem(t, 400, fault.Invalid, "drain_timeout")
	}
	backend.Intercept(func(context.Context, string) error { return fault.New(fault.Conflict, "it is not to be") })
	ask(t, s, "POST", "/v1/leave").wantProblem(t, 412, fault.Conflict, "not to be")
	ask(t, s, "DELETE", "/v1/leave").wantProblem(t, 412, fault.Conflict, "not to be")
}

// brokenBackup is a backend whose backup ends early, after a piece or before the first.
type brokenBackup struct {
	api.Backend
	piece string
}

func (b brokenBackup) Backup(_ context.Context, w io.Writer, _ api.BackupOptions) error {
	if b.piece != "" {
		if _, err := io.WriteString(w, b.piece); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "the disk is gone")
}

func TestBackupIsWholeOrNot(t *testing.T) {
	s := serve(t, api.Config{})
	if a := ask(t, s, "POST", "/v1/backup"); a.StatusCode != 200 || string(a.body) != apitest.BackupText || a.Header.Get("Content-Type") != "application/x-tar" {
		t.Errorf("%s %v %q", a.Status, a.Header, a.body)
	}
	backend := apitest.NewBackend(nil)
	ask(t, serve(t, api.Config{Backend: brokenBackup{backend, ""}}), "POST", "/v1/backup").wantProblem(t, 503, fault.Unavailable, "disk is gone")
	resp, err := http.Post(serve(t, api.Config{Backend: brokenBackup{backend, "half"}}).URL()+"/v1/backup", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a part of a backup passes for the whole: %s %q", resp.Status, got)
	}
}
