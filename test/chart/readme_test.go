package chart

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the table of values in the chart's README")

// The table of values stands between these two lines of the README.
const (
	tableBegin = "<!-- values: made by go test ./test/chart -run TestValuesInTheReadme -update -->\n"
	tableEnd   = "<!-- end of values -->"
)

// about begins the comment that describes a value.
const about = "# -- "

// A value is one that values.yaml describes.
type value struct {
	path     []string
	about    string
	standard *yaml.Node // its default
}

func (v value) name() string { return strings.Join(v.path, ".") }

// describedValues returns the values that values.yaml describes, in its order, and complains of those that it doesn't.
func describedValues(t *testing.T) []value {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartFolder, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var values []value
	var visit func(path []string, mapping *yaml.Node)
	visit = func(path []string, mapping *yaml.Node) {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			key, content := mapping.Content[i], mapping.Content[i+1]
			path := append(path[:len(path):len(path)], key.Value)
			description, ok := strings.CutPrefix(key.HeadComment, about)
			switch {
			case ok:
				values = append(values, value{path, description, content})
			case content.Kind == yaml.MappingNode && len(content.Content) > 0:
				visit(path, content)
			default:
				t.Errorf("values.yaml:%d: %s is not described", key.Line, strings.Join(path, "."))
			}
		}
	}
	visit(nil, document.Content[0])
	return values
}

// table returns the table of values in Markdown.
func table(t *testing.T, values []value) string {
	var b strings.Builder
	b.WriteString("| value | default | meaning |\n|---|---|---|\n")
	for _, v := range values {
		var standard any
		if err := v.standard.Decode(&standard); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(standard)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("| `" + v.name() + "` | `" + string(text) + "` | " + v.about + " |\n")
	}
	return b.String()
}

func TestValuesInTheReadme(t *testing.T) {
	file := filepath.Join(chartFolder, "README.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	old, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines that the table stands between", file)
	}
	want := table(t, describedValues(t))
	switch {
	case old == want:
	case *update:
		if err := os.WriteFile(file, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of values is out of date: go test ./test/chart -run %s -update", t.Name())
	}
}

// jsonSchema is the part of a JSON schema that says which values there are.
type jsonSchema struct {
	Ref        string                 `json:"$ref"`
	Properties map[string]*jsonSchema `json:"properties"`
	// More is false where there may be no others.
	More json.RawMessage        `json:"additionalProperties"`
	Defs map[string]*jsonSchema `json:"$defs"`
}

// The schema has every value that there is, and no other.
func TestTheSchemaHasEveryValue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartFolder, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var root jsonSchema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"global": true} // what charts that contain this one hand down
	for _, v := range describedValues(t) {
		s := &root
		for i, step := range v.path {
			if ref, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
				s = root.Defs[ref]
			}
			next := s.Properties[step]
			if next == nil {
				if string(s.More) == "false" {
					t.Errorf("the schema lacks %s", v.name())
				}
				break // else it is one of those that need no names there
			}
			known[strings.Join(v.path[:i+1], ".")] = true
			s = next
		}
	}
	var visit func(path string, s *jsonSchema)
	visit = func(path string, s *jsonSchema) {
		for name, property := range s.Properties {
			if !known[path+name] {
				t.Errorf("values.yaml lacks %s", path+name)
			}
			visit(path+name+".", property)
		}
	}
	visit("", &root)
}
