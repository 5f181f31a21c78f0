package bulk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// shelf is a store to export from, listed ten keys a page.
type shelf map[string]string

func (s shelf) list(_ context.Context, opts v1.ListOptions) (v1.Page, error) {
	const pageSize = 10
	after := max(opts.After, opts.Cursor)
	page := v1.Page{Complete: true}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if key <= after || !strings.HasPrefix(key, opts.Prefix) {
			continue
		}
		if len(page.Records) == pageSize {
			page.Cursor = page.Records[pageSize-1].Key
			break
		}
		page.Records = append(page.Records, v1.Entry{Key: key, Size: int64(len(s[key]))})
	}
	return page, nil
}

func (s shelf) get(ctx context.Context, key string) (v1.Record, error) {
	select { // answers do not come in order
	case <-time.After(rand.N(time.Second)):
	case <-ctx.Done():
		return v1.Record{}, ctx.Err()
	}
	record := v1.Record{Key: key, Version: "1-1", Author: "a"}
	record.SetValue([]byte(s[key]))
	return record, nil
}

func (s shelf) config() ExportConfig {
	return ExportConfig{List: s.list, Get: s.get, Concurrency: 8}
}

func newShelf(n int) shelf {
	s := shelf{"bin/all": string([]byte{0, 0xff, '\n', '\r', 0x80}), "text/odd": "a\u2028\"\\<&>\x00\t\r\n\ufeff", "empty": "", " ": " "}
	for i := range n {
		s[fmt.Sprintf("k/%04d", i)] = strings.Repeat(string(rune(i)), i)
	}
	return s
}

// TestExportIsWhatImportReads exports everything and imports it elsewhere.
func TestExportIsWhatImportReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, out := newShelf(250), new(bytes.Buffer)
		done, err := Export(t.Context(), out, from.config())
		if err != nil || done.Records != int64(len(from)) || done.Partial || done.Last != "text/odd" {
			t.Fatalf("%+v, %v", done, err)
		}
		var to memory
		if _, err := Import(t.Context(), bytes.NewReader(out.Bytes()), to.config()); err != nil {
			t.Fatal(err)
		}
		to.wantRecords(t, from)
		if again := new(bytes.Buffer); func() bool { _, err := Export(t.Context(), again, from.config()); return err != nil }() || !bytes.Equal(out.Bytes(), again.Bytes()) {
			t.Error("a second export differs from the first")
		}
		if done, err := Export(t.Context(), new(bytes.Buffer), ExportConfig{List: from.list, Get: from.get, Concurrency: 1, Prefix: "k/", After: "k/0245"}); err != nil || done.Records != 4 {
			t.Errorf("a part: %+v, %v", done, err)
		}
	})
}

func TestExportEndsBeforeWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := newShelf(40)
		cfg := from.config()
		cfg.Get = func(ctx context.Context, key string) (v1.Record, error) {
			switch key {
			case "k/0020":
				return v1.Record{}, fault.New(fault.Unavailable, "no quorum")
			case "k/0010":
				return v1.Record{}, fault.New(fault.NotFound, "it was removed meanwhile")
			}
			return from.get(ctx, key)
		}
		var out bytes.Buffer
		done, err := Export(t.Context(), &out, cfg)
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "k/0020") || done.Last != "k/0019" || int64(bytes.Count(out.Bytes(), []byte("\n"))) != done.Records {
			t.Errorf("%+v, %v", done, err)
		}
		cfg.SkipUnreadable = true
		done, err = Export(t.Context(), &out, cfg)
		if err != nil || done.Records != int64(len(from)-2) || done.Unreadable != 1 || !slices.Equal(done.Keys, []string{"k/0020"}) {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

func TestExportTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := newShelf(20)
		cfg := from.config()
		var calls atomic.Int64
		busy := func() error {
			if calls.Add(1)%3 == 0 {
				return fault.New(fault.Unavailable, "busy")
			}
			return nil
		}
		cfg.Get = func(ctx context.Context, key string) (v1.Record, error) {
			if err := busy(); err != nil {
				return v1.Record{}, err
			}
			return from.get(ctx, key)
		}
		cfg.List = func(ctx context.Context, opts v1.ListOptions) (v1.Page, error) {
			if err := busy(); err != nil {
				return v1.Page{}, err
			}
			return from.list(ctx, opts)
		}
		if done, err := Export(t.Context(), new(bytes.Buffer), cfg); err != nil || done.Records != int64(len(from)) {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

func TestExportWithPeersMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := newShelf(40)
		cfg := from.config()
		cfg.List = func(ctx context.Context, opts v1.ListOptions) (v1.Page, error) {
			page, err := from.list(ctx, opts)
			page.Missing = []string{"somebody"}
			page.Complete = opts.Cursor < "k/0015"
			return page, err
		}
		done, err := Export(t.Context(), new(bytes.Buffer), cfg)
		if fault.KindOf(err) != fault.Unavailable || !done.Partial || done.Last == "" || done.Last > "k/0030" {
			t.Errorf("%+v, %v", done, err)
		}
		cfg.SkipUnreadable = true
		if done, err = Export(t.Context(), new(bytes.Buffer), cfg); err != nil || !done.Partial || done.Records != int64(len(from)) || len(done.Missing) != 1 {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// brokenWriter fails after some bytes.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("no room")
	}
	return len(p), nil
}

func TestExportEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := newShelf(2000)
		if _, err := Export(t.Context(), &brokenWriter{300 << 10}, from.config()); err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("a full disk: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := Export(ctx, new(bytes.Buffer), from.config()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stop: %v", err)
		}
	})
}

// TestExportGoesOnFromAnyByte cuts an export off everywhere, and goes on.
func TestExportGoesOnFromAnyByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, whole := newShelf(12), new(bytes.Buffer)
		if _, err := Export(t.Context(), whole, from.config()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "export")
		for cut := range whole.Len() + 1 {
			if err := os.WriteFile(path, whole.Bytes()[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			cfg := from.config()
			if cfg.After, err = ResumeExport(f); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			_, err = Export(t.Context(), f, cfg)
			if got, readErr := os.ReadFile(path); err != nil || readErr != nil || !bytes.Equal(got, whole.Bytes()) {
				t.Fatalf("cut at %d: %v, %v, %d bytes", cut, err, readErr, len(got))
			}
			f.Close()
		}
	})
}

func TestResumeRefusesWhatIsNoExport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	for _, text := range []string{"dear diary\n", "{}\n", `{"key":"","value":""}` + "\n", "{\"key\":\"k\",\"value\":\"v\"}\nand more\n", strings.Repeat("x", 2*MaxLine+3)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		last, err := ResumeExport(f)
		f.Close()
		if got, _ := os.ReadFile(path); fault.KindOf(err) != fault.Conflict || string(got) != text {
			t.Errorf("%.40q: last key %q, %v; %d bytes left", text, last, err, len(got))
		}
	}
}
