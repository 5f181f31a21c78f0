//go:build kubernetes && linux

package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// scenarioPatience bounds one scenario.
const scenarioPatience = 3 * time.Minute

// TestScenarios runs the check of every scenario, which says by itself what must be seen and what must not.
func TestScenarios(t *testing.T) {
	checks, err := filepath.Glob(filepath.Join(root, "deploy/scenarios/*/check"))
	check(t, err)
	if len(checks) < 3 {
		t.Fatalf("found the scenarios %q, want three", checks)
	}
	for _, path := range checks {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), scenarioPatience)
			defer cancel()
			kubectl, err := shared.KubectlCommand(ctx)
			check(t, err)
			cmd := exec.CommandContext(ctx, "./check")
			cmd.Dir, cmd.Env = dir, append(kubectl.Env, "KUBECTL="+kubectl.Path, "IMAGE="+repository+":"+imageTag)
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			check(t, err)
		})
	}
}
