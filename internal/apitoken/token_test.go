package apitoken_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/apitoken"
)

func newFile(t *testing.T) apitoken.File {
	return apitoken.File(filepath.Join(t.TempDir(), "tokens.json"))
}

func open(t *testing.T, f apitoken.File) *apitoken.Set {
	t.Helper()
	s, err := apitoken.Open(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokens(t *testing.T) {
	f, now := newFile(t), time.Now()
	set := open(t, f)
	text, made, err := f.Add("ann", apitoken.Write, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(string(f)); err != nil || strings.Contains(string(data), text) {
		t.Errorf("the file has the token, or none: %v, %s", err, data)
	}
	if found, ok := set.Find(text, now); !ok || found.ID != made.ID || found.Scope != apitoken.Write || found.Name != "ann" {
		t.Errorf("found %+v, %t", found, ok)
	}
	id := made.ID
	for _, wrong := range []string{"", "moot_", text[1:], text + "A", text[:len(text)-1], "moot_" + id + "_", "moot_" + id + "_" + strings.Repeat("A", 26), strings.ToUpper(text)} {
		if _, ok := set.Find(wrong, now); ok {
			t.Errorf("%q is taken for %q", wrong, text)
		}
	}
	if _, ok := set.Find(text, now.Add(time.Hour)); ok {
		t.Error("a token that expired is good")
	}
	if _, _, err := f.Add("ann", apitoken.Read, now, time.Time{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second one of a name: %v", err)
	}
	if _, _, err := f.Add("ann", apitoken.Read, now.Add(2*time.Hour), time.Time{}); err != nil {
		t.Errorf("in the place of one that expired: %v", err)
	}
	if _, ok := set.Find(text, now); ok || set.Len() != 1 {
		t.Errorf("the one before is good still; %d tokens", set.Len())
	}
	if _, err := f.Revoke("bob"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("revoke what there is not: %v", err)
	}
	if revoked, err := f.Revoke("ann"); err != nil || revoked.ID == id {
		t.Errorf("revoke: %+v, %v", revoked, err)
	}
	if list, err := f.List(); err != nil || len(list) != 0 || set.Len() != 0 {
		t.Errorf("left are %v, %v", list, err)
	}
}

func TestWrongTokens(t *testing.T) {
	f := newFile(t)
	for name, scope := range map[string]apitoken.Scope{"": apitoken.Read, strings.Repeat("n", apitoken.MaxName+1): apitoken.Read, "a\nb": apitoken.Read, "\xff": apitoken.Read, "ann": "all"} {
		if _, _, err := f.Add(name, scope, time.Now(), time.Time{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q with scope %s: %v", name, scope, err)
		}
	}
}

func TestScopes(t *testing.T) {
	order := []apitoken.Scope{apitoken.Read, apitoken.Write, apitoken.Admin}
	for i, s := range order {
		for k, other := range order {
			if s.Covers(other) != (i >= k) {
				t.Errorf("%s covers %s: %t", s, other, s.Covers(other))
			}
		}
		if s.Covers("") || apitoken.Scope("").Covers(s) {
			t.Errorf("%s and none cover one another", s)
		}
	}
}

// TestManyAtOnce has processes add tokens at the same time: none is lost.
func TestManyAtOnce(t *testing.T) {
	f := newFile(t)
	var adding sync.WaitGroup
	for i := range 8 {
		adding.Go(func() {
			if _, _, err := f.Add(string(rune('a'+i)), apitoken.Read, time.Now(), time.Time{}); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	if list, err := f.List(); err != nil || len(list) != 8 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}

// TestDamagedFile keeps what was good while the file can't be read, and does not start with one.
func TestDamagedFile(t *testing.T) {
	f := newFile(t)
	text, _, err := f.Add("ann", apitoken.Read, time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	set := open(t, f)
	for _, damaged := range []string{"{", `{"format":2}`, `{"format":1,"tokens":[{"id":"aaaaaaaa","name":"x","scope":"read","sha256":"00"}]}`} {
		if err := os.WriteFile(string(f), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := set.Find(text, time.Now()); !ok {
			t.Errorf("after %s no token is good", damaged)
		}
		if _, err := apitoken.Open(f, slog.New(slog.DiscardHandler)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("opened with %s: %v", damaged, err)
		}
	}
	if err := os.Remove(string(f)); err != nil {
		t.Fatal(err)
	}
	if _, ok := set.Find(text, time.Now()); ok {
		t.Error("a token is good whose file was removed")
	}
}

// TestUnreadableFile heeds what was revoked while the file could not be read, as soon as it can be, though the file looks as it did then; and says once what is wrong.
func TestUnreadableFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes that make them unreadable on Windows")
	}
	f, now := newFile(t), time.Now()
	text, _, err := f.Add("ann", apitoken.Read, now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	set, err := apitoken.Open(f, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Revoke("ann"); err != nil {
		t.Fatal(err)
	}
	mode := func(mode os.FileMode) {
		if err := os.Chmod(string(f), mode); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o644) // which is refused
	for range 3 {
		if _, ok := set.Find(text, now); !ok {
			t.Error("without a file that can be read no token is good")
		}
	}
	if n := strings.Count(log.String(), "keep the API's tokens"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &log)
	}
	mode(0o600)
	if _, ok := set.Find(text, now); ok {
		t.Error("a token is good that was revoked")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"format":1,"tokens":[{"id":"aaaaaaaa","name":"x","scope":"read","sha256":"00"}]}`))
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file := apitoken.File(filepath.Join(folder, "tokens.json"))
		if err := os.WriteFile(string(file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := file.List()
		if err == nil && len(list) > apitoken.MaxTokens {
			t.Errorf("%d tokens", len(list))
		}
	})
}
