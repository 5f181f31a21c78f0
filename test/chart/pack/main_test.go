//go:build linux

package main

import (
	"testing"

	"github.com/folkmoot/folkmoot/deploy/compile"
)

func TestVersions(t *testing.T) {
	for _, tt := range []struct{ version, tag, chart string }{
		{"v1.2.3", "v1.2.3", "1.2.3"},
		{"v0.0.0-20260102030405-0123456789ab+dirty", "v0.0.0-20260102030405-0123456789ab_dirty", "0.0.0-20260102030405-0123456789ab+dirty"},
		{"devel", "devel", ""},
	} {
		if tag, chart := compile.TagSafe(tt.version), chartVersion(tt.version); tag != tt.tag || chart != tt.chart {
			t.Errorf("%s: image %s and chart %s, want %s and %s", tt.version, tag, chart, tt.tag, tt.chart)
		}
	}
}
