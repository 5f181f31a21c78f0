package compile

import (
	"runtime/debug"
	"strings"
	"testing"
)

// TestExperiments: a program is built with the toolchain's own choice of experiments, or not at all.
func TestExperiments(t *testing.T) {
	p := Program{Info: &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "amd64"}}}}
	if err := checkExperiments(p); err != nil {
		t.Error(err)
	}
	p.Info.Settings = append(p.Info.Settings, debug.BuildSetting{Key: "GOEXPERIMENT", Value: "arenas"})
	if err := checkExperiments(p); err == nil || !strings.Contains(err.Error(), "arenas") {
		t.Errorf("with an experiment: %v", err)
	}
}
