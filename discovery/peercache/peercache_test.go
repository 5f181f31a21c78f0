package peercache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/discovery"
	"github.com/folkmoot/folkmoot/discovery/discoverytest"
	"github.com/folkmoot/folkmoot/fault"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// entries returns n entries, newest first, with the given number of addresses each.
func entries(t testing.TB, n, addrs int) []Entry {
	t.Helper()
	var out []Entry
	for i := range n {
		id, err := test.RandPeerID()
		if err != nil {
			t.Fatal(err)
		}
		e := Entry{ID: id, LastSeen: epoch.Add(-time.Duration(i) * time.Second)}
		for j := range addrs {
			e.Addrs = append(e.Addrs, ma.StringCast(fmt.Sprintf("/ip4/10.%d.%d.%d/tcp/%d", i/256, i%256, j, 4242)))
		}
		out = append(out, e)
	}
	return out
}

func TestConformance(t *testing.T) {
	discoverytest.TestFinder(t, func(t *testing.T) discovery.Finder {
		f, err := New(Config{Entries: entries(t, 3, 1), Alone: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

func TestReportsAgainOnlyWhileAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		alone := func() bool { return time.Since(start) < time.Second || time.Since(start) > time.Hour }
		f, err := New(Config{Entries: entries(t, 1, 1), Alone: alone})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
		defer cancel()
		var at []time.Duration
		if err := f.Find(ctx, func(peer.AddrInfo) { at = append(at, time.Since(start)) }); err != nil {
			t.Errorf("Find: %v", err)
		}
		if len(at) < 2 || at[0] != 0 || at[1] < time.Hour || at[1] > time.Hour+CheckInterval {
			t.Fatalf("reported at %v, want at once and again when alone after an hour", at)
		}
		if n := len(at); n < 8 || n > 14 {
			t.Errorf("reported %d times, want about 10", n)
		}
	})
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	if got, err := Load(path); got != nil || err != nil {
		t.Fatalf("an absent file loads as %v, %v; want nothing", got, err)
	}
	want := entries(t, 3, 2)
	for range 2 { // the second replaces the first
		if err := Save(path, []Entry{want[2], want[0], want[1]}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %v, %v; want %v", got, err, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fileMode {
		t.Errorf("mode %v, %v; want %v", info.Mode(), err, os.FileMode(fileMode))
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v; want the file alone", files, err)
	}
}

func TestFailedSaveLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "peers.json")
	if err := os.Mkdir(path, 0o700); err != nil { // a folder can't be replaced by a file
		t.Fatal(err)
	}
	if err := Save(path, entries(t, 1, 1)); err == nil {
		t.Error("Save replaced a folder")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("after a failed Save the folder holds %v, %v", files, err)
	}
	if err := Save(filepath.Join(dir, "absent", "peers.json"), nil); err == nil {
		t.Error("Save wrote to a folder that does not exist")
	}
	if _, err := Load(path); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a folder loads with the error %v", err)
	}
}

func TestNewestAreKept(t *testing.T) {
	all := entries(t, MaxEntries+10, 1)
	older := all[0]
	older.LastSeen = older.LastSeen.Add(-time.Hour)
	unusable := []Entry{
		older,
		{ID: "not an id", Addrs: all[0].Addrs, LastSeen: epoch},
		{ID: test.RandPeerIDFatal(t), LastSeen: epoch},
		{ID: test.RandPeerIDFatal(t), Addrs: []ma.Multiaddr{nil, ma.StringCast("/p2p/" + string(all[0].ID.String()))}, LastSeen: epoch},
		{ID: test.RandPeerIDFatal(t), Addrs: all[0].Addrs, LastSeen: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	got, err := decode(encode(append(unusable, all...)))
	if err != nil || !reflect.DeepEqual(got, all[:MaxEntries]) {
		t.Errorf("kept %d entries, %v; want the newest %d usable", len(got), err, MaxEntries)
	}
	many := entries(t, 1, 2*MaxAddrs)
	if got, err := decode(encode(many)); err != nil || len(got[0].Addrs) != MaxAddrs {
		t.Errorf("kept %v, %v; want %d addresses", got, err, MaxAddrs)
	}
}

func TestFileStaysInItsBound(t *testing.T) {
	all := entries(t, MaxEntries, MaxAddrs)
	for i := range all {
		for j := range all[i].Addrs {
			all[i].Addrs[j] = ma.StringCast(fmt.Sprintf("/dns4/%s%d.example/tcp/%d/ws", strings.Repeat("x.", 100), i, j+1))
		}
	}
	b := encode(all)
	got, err := decode(b)
	if err != nil || len(b) > MaxFileSize || len(b) < MaxFileSize*9/10 {
		t.Errorf("%d bytes, %v; want nearly %d", len(b), err, MaxFileSize)
	}
	if !reflect.DeepEqual(got, all[:len(got)]) || len(got) == len(all) {
		t.Errorf("kept %d of %d entries, want the newest that fit", len(got), len(all))
	}
}

func TestDecodeRefuses(t *testing.T) {
	id := test.RandPeerIDFatal(t).String()
	entry := func(id, addrs string) string {
		return fmt.Sprintf(`{"version":1,"peers":[{"id":%q,"addrs":[%s],"last_seen":"2026-01-02T03:04:05Z"}]}`, id, addrs)
	}
	if got, err := decode([]byte(entry(id, `"/ip4/10.0.0.1/tcp/1"`))); err != nil || len(got) != 1 {
		t.Fatalf("a good file reads as %v, %v", got, err)
	}
	tests := []struct {
		file string
		want error
	}{
		{``, ErrDamaged},
		{`null`, ErrDamaged},
		{`[]`, ErrDamaged},
		{`{"version":0}`, ErrDamaged},
		{`{"version":-1}`, ErrDamaged},
		{`{"version":"1"}`, ErrDamaged},
		{`{"version":2}`, ErrNewer},
		{`{"version":3,"peers":"of another form"}`, ErrNewer},
		{`{"version":1,"peers":[]} x`, ErrDamaged},
		{`{"version":1,"peers":[],"more":1}`, ErrDamaged},
		{`{"version":1,"peers":[` + strings.Repeat(`{},`, MaxEntries) + `{}]}`, ErrDamaged},
		{entry("x", `"/ip4/10.0.0.1/tcp/1"`), ErrDamaged},
		{entry(id, ``), ErrDamaged},
		{entry(id, `"nonsense"`), ErrDamaged},
		{entry(id, `"/ip4/10.0.0.1/tcp/1/p2p/`+id+`"`), ErrDamaged},
		{entry(id, strings.Repeat(`"/ip4/10.0.0.1/tcp/1",`, MaxAddrs)+`"/ip4/10.0.0.1/tcp/1"`), ErrDamaged},
		{strings.Repeat(" ", MaxFileSize) + `{"version":1}`, ErrDamaged},
	}
	for _, tt := range tests {
		if got, err := decode([]byte(tt.file)); !errors.Is(err, tt.want) || got != nil {
			t.Errorf("%.60q: %v, %v; want %v", tt.file, got, err, tt.want)
		}
	}
	path := filepath.Join(t.TempDir(), "peers.json")
	if err := os.WriteFile(path, bytes.Repeat([]byte(" "), 2*MaxFileSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want ErrDamaged with the file's name", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("error %v, want fault.Invalid", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(entries(f, 2, 2)))
	f.Add([]byte(`{"version":1,"peers":[]}`))
	f.Add([]byte(`{"version":9}`))
	f.Add([]byte(`{"version":1,"peers":[{"id":"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG","addrs":["/dns4/x/tcp/1"],"last_seen":"9999-12-31T23:59:59.9-01:00"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("error %v is of no kind", err)
			}
			return
		}
		if len(got) > MaxEntries {
			t.Fatalf("%d entries", len(got))
		}
		text := encode(got)
		again, err := decode(text)
		if err != nil || !bytes.Equal(encode(again), text) {
			t.Fatalf("encoded and decoded: %v, %v; want %v", again, err, got)
		}
		if len(text) < MaxFileSize*9/10 && !reflect.DeepEqual(again, got) {
			t.Fatalf("encoded and decoded: %v; want %v", again, got)
		}
	})
}
