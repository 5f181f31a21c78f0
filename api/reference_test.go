package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/internal/goldentest"
)

// TestReferenceFile holds the reference in docs to what the server says. `go test ./api -run ReferenceFile -update` writes it.
func TestReferenceFile(t *testing.T) {
	goldentest.Check(t, "../docs/api.md", reference(t, openAPI(t)), *update, "go test ./api -run ReferenceFile -update")
}

// A described is a part of the OpenAPI document that says what it is: of a schema, a parameter, a body, a header or an answer.
type described struct {
	Name        string               `json:"name"`
	In          string               `json:"in"`
	Required    any                  `json:"required"` // a list of names in a schema, and true or false in a parameter
	Description string               `json:"description"`
	Ref         string               `json:"$ref"`
	Type        any                  `json:"type"` // a name, or a list of them
	Format      string               `json:"format"`
	Enum        []any                `json:"enum"`
	Minimum     *float64             `json:"minimum"`
	Maximum     *float64             `json:"maximum"`
	Items       *described           `json:"items"`
	Schema      *described           `json:"schema"`
	Properties  map[string]described `json:"properties"`
	Content     map[string]described `json:"content"`
}

// A call is an operation with all that a reader wants to know.
type call struct {
	Summary     string               `json:"summary"`
	Description string               `json:"description"`
	Tags        []string             `json:"tags"`
	Parameters  []described          `json:"parameters"`
	Body        *described           `json:"requestBody"`
	Responses   map[string]described `json:"responses"`
}

// reference returns the reference of an API as Markdown.
func reference(t *testing.T, document []byte) []byte {
	t.Helper()
	var d struct {
		Info       struct{ Description string }
		Paths      map[string]map[string]call
		Components struct{ Schemas map[string]described }
	}
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	sections := map[string]*bytes.Buffer{}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			o := d.Paths[path][method]
			tag := "more"
			if len(o.Tags) > 0 {
				tag = o.Tags[0]
			}
			if sections[tag] == nil {
				sections[tag] = new(bytes.Buffer)
			}
			o.write(sections[tag], strings.ToUpper(method)+" "+path)
		}
	}
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "# The HTTP API, call by call\n\n%s Written from what the server says of itself at `/openapi.json`. [http.md](http.md) has what holds of all calls.\n", d.Info.Description)
	for _, tag := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(b, "\n## %s\n%s", strings.ToUpper(tag[:1])+tag[1:], sections[tag])
	}
	fmt.Fprint(b, "\n## Documents\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		d.Components.Schemas[name].writeSchema(b, name)
	}
	return b.Bytes()
}

func (o call) write(b *bytes.Buffer, name string) {
	fmt.Fprintf(b, "\n### %s\n\n%s.\n", name, strings.TrimSuffix(o.Summary, "."))
	if o.Description != "" {
		fmt.Fprintf(b, "\n%s\n", o.Description)
	}
	if len(o.Parameters) > 0 {
		fmt.Fprint(b, "\n| parameter | in | type | meaning |\n|---|---|---|---|\n")
		for _, p := range o.Parameters {
			name := "`" + p.Name + "`"
			if p.Required == true {
				name += ", required"
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, p.In, p.Schema.kind(), cell(p.Description))
		}
	}
	if o.Body != nil {
		fmt.Fprintf(b, "\nBody: %s\n", o.Body.contents())
	}
	fmt.Fprintln(b)
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		code := status
		if status == "default" {
			code = "otherwise"
		}
		fmt.Fprintf(b, "- %s: %s\n", code, strings.TrimSuffix(r.Description+", "+r.contents(), ", "))
	}
}

// contents lists the media types of a body or an answer with their documents.
func (d described) contents() string {
	var kinds []string
	for _, media := range slices.Sorted(maps.Keys(d.Content)) {
		kind := "`" + media + "`"
		if of := d.Content[media].Schema.kind(); of != "" {
			kind += " " + of
		}
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, " or ")
}

// kind returns the type of a schema, with a link where it has a section of its own.
func (d *described) kind() string {
	if d == nil {
		return ""
	}
	if name := d.Ref[strings.LastIndex(d.Ref, "/")+1:]; name != "" {
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	var kind string
	switch k := d.Type.(type) {
	case string:
		kind = k
	case []any: // with null where the member may be absent
		for _, one := range k {
			if one != "null" {
				kind = fmt.Sprint(one)
			}
		}
	}
	if kind == "array" && d.Items != nil {
		return "list of " + d.Items.kind()
	}
	if d.Format != "" && !strings.HasPrefix(d.Format, "int") {
		kind += ", " + d.Format
	}
	switch {
	case d.Minimum != nil && d.Maximum != nil:
		kind += fmt.Sprintf(", %.0f to %.0f", *d.Minimum, *d.Maximum)
	case d.Minimum != nil:
		kind += fmt.Sprintf(", at least %.0f", *d.Minimum)
	}
	for i, v := range d.Enum {
		kind += map[bool]string{true: ": ", false: ", "}[i == 0] + fmt.Sprintf("`%v`", v)
	}
	return kind
}

func (d described) writeSchema(b *bytes.Buffer, name string) {
	fmt.Fprintf(b, "\n### %s\n", name)
	if d.Description != "" {
		fmt.Fprintf(b, "\n%s\n", d.Description)
	}
	if len(d.Properties) == 0 {
		fmt.Fprintf(b, "\n%s\n", d.kind())
		return
	}
	required := map[any]bool{}
	if names, ok := d.Required.([]any); ok {
		for _, name := range names {
			required[name] = true
		}
	}
	fmt.Fprint(b, "\n| member | type | meaning |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
		p := d.Properties[name]
		member := "`" + name + "`"
		if !required[name] {
			member += ", may be absent"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", member, p.kind(), cell(p.Description))
	}
}

// cell returns a text as it may stand in a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}
