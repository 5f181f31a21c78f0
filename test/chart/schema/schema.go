// Package schema judges manifests as strictly as an API server that is asked to (fieldValidation=Strict): by the types of each Kubernetes release, with
// no field that it doesn't know.
//
// The specs are the OpenAPI v3 documents in Kubernetes' own repository, reduced to the kinds that manifests of this project are of, and kept here, so
// that nothing is to be downloaded; the command in folder reduce makes them. That of Prometheus' ServiceMonitor is written by hand.
package schema

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed specs/*.json
var specs embed.FS

// monitoring is the spec beside Kubernetes' own.
const monitoring = "specs/monitoring.json"

// A Spec is what one release of Kubernetes takes.
type Spec struct {
	types map[string]*Type
	kinds map[Kind]*Type
}

// Kind names a type of object; Group is empty for the core group.
type Kind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

// Document is a file of specs.
type Document struct {
	// Source says where the types are from.
	Source string `json:"source"`
	// Sum is the source module's, as in a go.sum file.
	Sum string `json:"sum,omitempty"`
	// Types are by their names in references.
	Types map[string]*Type `json:"types"`
}

// Type is the part of an OpenAPI v3 schema that Kubernetes uses, descriptions and defaults aside.
type Type struct {
	Type       string           `json:"type,omitempty"`
	Format     string           `json:"format,omitempty"`
	Ref        string           `json:"$ref,omitempty"`
	AllOf      []*Type          `json:"allOf,omitempty"`
	OneOf      []*Type          `json:"oneOf,omitempty"`
	Properties map[string]*Type `json:"properties,omitempty"`
	Required   []string         `json:"required,omitempty"`
	// Values is the type of a map's values; nil for objects with properties.
	Values *Type    `json:"additionalProperties,omitempty"`
	Items  *Type    `json:"items,omitempty"`
	Enum   []string `json:"enum,omitempty"`
	// Keys are the fields that tell the items of a list apart.
	Keys  []string `json:"x-kubernetes-list-map-keys,omitempty"`
	Kinds []Kind   `json:"x-kubernetes-group-version-kind,omitempty"`
}

// refPrefix begins references within a document.
const refPrefix = "#/components/schemas/"

// Target returns the name of the type that a reference means, empty if t is none.
func (t *Type) Target() string { return strings.TrimPrefix(t.Ref, refPrefix) }

// Releases returns the releases of Kubernetes that there are specs of, such as "1.36", oldest first.
func Releases() []string {
	files, err := fs.Glob(specs, "specs/*.json")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	var releases []string
	for _, file := range files {
		if file != monitoring {
			releases = append(releases, strings.TrimSuffix(path.Base(file), ".json"))
		}
	}
	return slices.Sorted(slices.Values(releases))
}

// Load returns the spec of a release, with the types beside Kubernetes' own.
func Load(release string) (*Spec, error) {
	s := &Spec{types: make(map[string]*Type), kinds: make(map[Kind]*Type)}
	for _, file := range []string{"specs/" + release + ".json", monitoring} {
		text, err := specs.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("no spec of Kubernetes %s; there are %s", release, strings.Join(Releases(), ", "))
		}
		var d Document
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("read the spec %s: %w", file, err)
		}
		for name, t := range d.Types {
			s.types[name] = t
			for _, kind := range t.Kinds {
				s.kinds[kind] = t
			}
		}
	}
	return s, nil
}
