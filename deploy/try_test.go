//go:build e2e

// Package deploy tests what brings the program onto Kubernetes with one command.
package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stub is a program that notes how it was called. go tells the architecture, kind and minikube know of no cluster.
const stub = `#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
"go env GOARCH") echo riscv ;;
"minikube status"*) exit 7 ;;
esac
`

// try runs the script with stubs of programs instead of the real ones, and returns how they were called.
func try(t *testing.T, programs []string, args ...string) (calls, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(stub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"basename", "bash", "cat", "date", "dirname", "grep", "mktemp", "rm", "sed", "sh"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(t.TempDir(), "calls")
	cmd := exec.CommandContext(t.Context(), "./try", args...)
	cmd.Env = []string{"PATH=" + dir, "CALLS=" + log, "TMPDIR=" + t.TempDir()}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatal(err)
		}
		code = failed.ExitCode()
	}
	data, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data), errs.String(), code
}

// TestTry wants each kind of cluster made, given the image that was built, and the chart installed with that image.
func TestTry(t *testing.T) {
	for where, want := range map[string][]string{
		"kind": {
			`kind get clusters`, `kind create cluster --name folkmoot --config deploy/scenarios/kind.yaml`,
			`go run ./deploy/image --platform linux/riscv --tag (try-\S+) --out (\S+/moot.tar)`, `kind load image-archive --name folkmoot \2`,
			`helm --kube-context kind-folkmoot upgrade --install town deploy/helm/folkmoot --set image.tag=\1 --wait .*`, `kubectl --context kind-folkmoot get pods .*`,
		},
		"minikube": {
			`minikube status -p folkmoot`, `minikube start -p folkmoot --nodes 2`,
			`go run ./deploy/image --platform linux/riscv --tag (try-\S+) --out (\S+/moot.tar)`, `minikube image load -p folkmoot \2`,
			`helm --kube-context folkmoot upgrade --install town deploy/helm/folkmoot --set image.tag=\1 --wait .*`, `kubectl --context folkmoot get pods .*`,
		},
	} {
		t.Run(where, func(t *testing.T) {
			calls, stderr, code := try(t, []string{"go", "kind", "minikube", "helm", "kubectl"}, where)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			rest := calls
			var tag, archive string
			for _, line := range want {
				line = strings.NewReplacer(`\1`, regexp.QuoteMeta(tag), `\2`, regexp.QuoteMeta(archive)).Replace(line)
				match := regexp.MustCompile(`(?m)^` + line + `$`).FindStringSubmatchIndex(rest)
				if match == nil {
					t.Fatalf("no call %q in order in:\n%s", line, calls)
				}
				if len(match) == 6 {
					tag, archive = rest[match[2]:match[3]], rest[match[4]:match[5]]
				}
				rest = rest[match[1]:]
			}
		})
	}
}

func TestTryRefuses(t *testing.T) {
	for _, tt := range []struct {
		programs, args []string
		code           int
		want           string
	}{
		{nil, nil, 2, "want kind, minikube or here"},
		{nil, []string{"cloud"}, 2, `got "cloud"`},
		{nil, []string{"kind", "--up"}, 2, "what is --up?"},
		{[]string{"go", "kubectl", "helm"}, []string{"kind"}, 1, "kind is not installed"},
		{[]string{"go", "kind", "kubectl"}, []string{"kind", "--down"}, 1, "helm is not installed"},
	} {
		calls, stderr, code := try(t, tt.programs, tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.want) || calls != "" {
			t.Errorf("%v: exit code %d, want %d; calls %q; stderr lacks %q:\n%s", tt.args, code, tt.code, calls, tt.want, stderr)
		}
	}
}

func TestTryDown(t *testing.T) {
	calls, stderr, code := try(t, []string{"go", "kind", "helm", "kubectl"}, "kind", "--down")
	if code != 0 || calls != "kind delete cluster --name folkmoot\n" {
		t.Errorf("exit code %d, calls %q: %s", code, calls, stderr)
	}
}
