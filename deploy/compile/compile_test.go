package compile_test

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/deploy/compile"
	"github.com/folkmoot/folkmoot/deploy/image/oci"
)

func TestVersionAndTime(t *testing.T) {
	info := &debug.BuildInfo{
		Main:     debug.Module{Version: "v0.1.0-pre+dirty"},
		Settings: []debug.BuildSetting{{Key: "vcs.time", Value: "2026-02-03T05:05:06+01:00"}, {Key: "vcs.revision", Value: "abc"}},
	}
	p := compile.Program{Platform: oci.Platform{OS: "linux", Architecture: "amd64"}, Info: info}
	if v := p.Version(); v != "v0.1.0-pre+dirty" || compile.TagSafe(v) != "v0.1.0-pre_dirty" {
		t.Errorf("version %s, tag %s", v, compile.TagSafe(v))
	}
	for version, want := range map[string]string{".x": "_x", "-x": "_x", strings.Repeat("v", 200): strings.Repeat("v", 128), "a/b:c": "a_b_c"} {
		if got := compile.TagSafe(version); got != want {
			t.Errorf("tag of %q: %q, want %q", version, got, want)
		}
	}
	for epoch, want := range map[string]time.Time{"": time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), "60": time.Unix(60, 0).UTC()} {
		if got, err := p.Time(epoch); err != nil || got != want {
			t.Errorf("time with epoch %q: %v, %v", epoch, got, err)
		}
	}
	for _, epoch := range []string{"x", "-1", "1.5"} {
		if _, err := p.Time(epoch); err == nil {
			t.Errorf("took the epoch %q", epoch)
		}
	}
	bill, err := p.Bill("test", time.Unix(0, 0).UTC())
	if err != nil || !bytes.Contains(bill, []byte("git+https://github.com/folkmoot/folkmoot@abc")) {
		t.Errorf("bill of materials %s, %v", bill, err)
	}
}
