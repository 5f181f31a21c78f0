// Command reduce writes the specs of package schema anew, from the OpenAPI documents in Kubernetes' own repository, which the go command downloads as a
// module. Run it in the folder of package schema, after a change of the versions below:
//
//	go run ./reduce
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/folkmoot/folkmoot/test/chart/schema"
)

// versions are what the manifests are held to: the releases that Kubernetes maintains.
var versions = []string{"v1.34.7", "v1.35.4", "v1.36.3"}

// groups are the documents that are read, one for each version of an API group.
var groups = []string{"api__v1", "apis__apps__v1", "apis__batch__v1", "apis__networking.k8s.io__v1", "apis__policy__v1", "apis__rbac.authorization.k8s.io__v1"}

// kinds are kept, with all that they refer to.
var kinds = []string{
	"ConfigMap", "DaemonSet", "Deployment", "Job", "Namespace", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "PodDisruptionBudget", "Role", "RoleBinding",
	"Secret", "Service", "ServiceAccount", "StatefulSet",
}

func main() {
	for _, version := range versions {
		if err := reduce(version); err != nil {
			fmt.Fprintf(os.Stderr, "reduce: Kubernetes %s: %v\n", version, err)
			os.Exit(1)
		}
	}
}

func reduce(version string) error {
	module, err := download("k8s.io/kubernetes@" + version)
	if err != nil {
		return err
	}
	all := make(map[string]*schema.Type)
	for _, group := range groups {
		text, err := os.ReadFile(filepath.Join(module.Dir, "api/openapi-spec/v3", group+"_openapi.json"))
		if err != nil {
			return err
		}
		var document struct {
			Components struct {
				Schemas map[string]*schema.Type
			}
		}
		if err := json.Unmarshal(text, &document); err != nil {
			return fmt.Errorf("read the document %s: %w", group, err)
		}
		maps.Copy(all, document.Components.Schemas)
	}
	release := version[1:strings.LastIndex(version, ".")]
	return write(filepath.Join("specs", release+".json"), schema.Document{Source: "k8s.io/kubernetes@" + version, Sum: module.Sum, Types: keep(all)})
}

// keep returns the wanted kinds and what they refer to.
func keep(all map[string]*schema.Type) map[string]*schema.Type {
	kept := make(map[string]*schema.Type)
	var visit func(*schema.Type)
	visitName := func(name string) {
		if t := all[name]; t != nil && kept[name] == nil {
			kept[name] = t
			visit(t)
		}
	}
	visit = func(t *schema.Type) {
		if t == nil {
			return
		}
		if t.Ref != "" {
			visitName(t.Target())
		}
		for _, part := range slices.Concat(t.AllOf, t.OneOf, slices.Collect(maps.Values(t.Properties)), []*schema.Type{t.Items, t.Values}) {
			visit(part)
		}
	}
	for name, t := range all {
		if slices.ContainsFunc(t.Kinds, func(k schema.Kind) bool { return slices.Contains(kinds, k.Kind) }) {
			visitName(name)
		}
	}
	return kept
}

// write writes a document with a line for each type.
func write(file string, d schema.Document) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"source\": %q, \"sum\": %q, \"types\": {\n", d.Source, d.Sum)
	for i, name := range slices.Sorted(maps.Keys(d.Types)) {
		line, err := json.Marshal(d.Types[name])
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "%q: %s", name, line)
	}
	b.WriteString("\n}}\n")
	return os.WriteFile(file, b.Bytes(), 0o644)
}

type module struct{ Dir, Sum, Error string }

func download(path string) (m module, err error) {
	cmd := exec.Command("go", "mod", "download", "-json", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, &m); jsonErr == nil && m.Error != "" {
		return m, fmt.Errorf("download %s: %s", path, m.Error)
	}
	if err != nil {
		return m, fmt.Errorf("download %s: %w", path, err)
	}
	return m, nil
}
