//go:build kubernetes && linux

package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/test/chart/schema"
	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
)

const (
	// releaseName and namespace are those of most renderings; the chart's objects are then called fullName.
	releaseName = "town"
	namespace   = "demo"
	fullName    = "town-folkmoot"
	// newestKubernetes is what most renderings are for.
	newestKubernetes = "1.36"
)

var (
	// helm is the program that renders.
	helm string
	// renderings are kept, since most are looked at several times.
	renderings = make(map[string]manifest)
)

func TestMain(m *testing.M) {
	var err error
	if helm, err = cluster.HelmProgram(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runHelm runs helm, which reads values, and returns what it prints and what it complains of.
func runHelm(t *testing.T, values string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), helm, append(args, "--values", "-")...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(values), &out, &complaints
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

// A manifest is what the chart was rendered to.
type manifest []object

// An object is one of Kubernetes, as decoded from YAML.
type object map[string]any

// render renders the chart for values, which are YAML.
func render(t *testing.T, values string, args ...string) manifest {
	t.Helper()
	return renderAs(t, releaseName, namespace, values, args...)
}

func renderAs(t *testing.T, release, namespace, values string, args ...string) manifest {
	t.Helper()
	return renderFolder(t, chartFolder, release, namespace, values, args...)
}

func renderFolder(t *testing.T, folder, release, namespace, values string, args ...string) manifest {
	t.Helper()
	args = append([]string{"template", release, folder, "--namespace", namespace, "--kube-version", newestKubernetes}, args...)
	request := fmt.Sprintf("%q %q", args, values)
	if m, ok := renderings[request]; ok {
		return m
	}
	out, complaints, err := runHelm(t, values, args...)
	if err != nil {
		t.Fatalf("render with %q: %v\n%s", values, err, complaints)
	}
	decoded, err := schema.Decode([]byte(out))
	if err != nil {
		t.Fatalf("render with %q: %v\n%s", values, err, out)
	}
	var m manifest
	for _, o := range decoded {
		m = append(m, o)
	}
	renderings[request] = m
	return m
}

// find returns the object of that kind and name, or nil.
func (m manifest) find(kind, name string) object {
	for _, o := range m {
		if o["kind"] == kind && at(o, "metadata", "name") == name {
			return o
		}
	}
	return nil
}

// get is find for an object that must be there.
func (m manifest) get(t *testing.T, kind, name string) object {
	t.Helper()
	o := m.find(kind, name)
	if o == nil {
		t.Fatalf("no %s %s was rendered", kind, name)
	}
	return o
}

// peers returns the StatefulSet.
func (m manifest) peers(t *testing.T) object { return m.get(t, "StatefulSet", fullName) }

// at returns the value that a path of keys and indices leads to; nil if there is none.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			switch v := value.(type) {
			case object:
				value = v[step]
			case map[string]any:
				value = v[step]
			default:
				return nil
			}
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// list returns the list that a path leads to; nil if there is none.
func list(value any, path ...any) []any {
	l, _ := at(value, path...).([]any)
	return l
}

// texts returns the texts of the list that a path leads to.
func texts(value any, path ...any) (all []string) {
	for _, v := range list(value, path...) {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

// podSpec returns the spec of the pods that a Pod, StatefulSet or Deployment is about; nil for other kinds. podLabels returns their labels.
func podSpec(o object) any {
	if o["kind"] == "Pod" {
		return o["spec"]
	}
	return at(o, "spec", "template", "spec")
}

func podLabels(o object) any {
	if o["kind"] == "Pod" {
		return at(o, "metadata", "labels")
	}
	return at(o, "spec", "template", "metadata", "labels")
}

// moot returns the container of a peer.
func moot(o object) any { return at(podSpec(o), "containers", 0) }

// named returns the entry of a list that has that name.
func named(entries []any, name string) any {
	for _, e := range entries {
		if at(e, "name") == name {
			return e
		}
	}
	return nil
}

// copyChart returns a copy of the chart that a test may change.
func copyChart(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "folkmoot")
	if err := os.CopyFS(folder, os.DirFS(chartFolder)); err != nil {
		t.Fatal(err)
	}
	return folder
}
