package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/folkmoot/folkmoot/test/chart/schema"
)

// Manifests that are kept as they are, beside the chart's.
func TestScenariosAreTakenByEveryReleaseOfKubernetes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenariosFolder, "*/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	for _, release := range schema.Releases() {
		spec, err := schema.Load(release)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := schema.Decode(text)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, o := range objects {
				for _, problem := range spec.Validate(o) {
					t.Errorf("Kubernetes %s: %s: %s: %s", release, file, schema.Name(o), problem)
				}
			}
		}
	}
}
