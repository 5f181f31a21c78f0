package schema

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Validate returns what is wrong with an object, as YAML or JSON decode it, each with its place: "spec.replicas: …".
func (s *Spec) Validate(object map[string]any) (problems []string) {
	apiVersion, _ := object["apiVersion"].(string)
	name, _ := object["kind"].(string)
	kind := Kind{Version: apiVersion, Kind: name}
	if group, version, ok := strings.Cut(apiVersion, "/"); ok {
		kind.Group, kind.Version = group, version
	}
	t := s.kinds[kind]
	if t == nil {
		return []string{fmt.Sprintf("kind %q of %q is not in the spec", name, apiVersion)}
	}
	c := checker{spec: s}
	c.check("", object, t)
	return c.problems
}

type checker struct {
	spec     *Spec
	problems []string
}

func (c *checker) complain(place, format string, args ...any) {
	c.problems = append(c.problems, strings.TrimPrefix(place, ".")+": "+fmt.Sprintf(format, args...))
}

// resolve follows references to the type itself.
func (c *checker) resolve(t *Type) *Type {
	for t != nil {
		switch {
		case t.Ref != "":
			t = c.spec.types[t.Target()]
		case len(t.AllOf) == 1:
			t = t.AllOf[0]
		default:
			return t
		}
	}
	return nil
}

func (c *checker) check(place string, value any, t *Type) {
	t = c.resolve(t)
	switch {
	case t == nil:
		c.complain(place, "the spec refers to a type that it lacks")
	case value == nil:
		c.complain(place, "nothing there")
	case len(t.OneOf) > 0:
		c.checkOneOf(place, value, t)
	case t.Type == "object" || t.Type == "" && t.Properties != nil:
		c.checkObject(place, value, t)
	case t.Type == "array":
		c.checkList(place, value, t)
	case t.Type != "":
		c.checkScalar(place, value, t)
	}
}

// checkOneOf is for the few types that are a number or a string.
func (c *checker) checkOneOf(place string, value any, t *Type) {
	var wanted []string
	for _, alternative := range t.OneOf {
		if typeOf(value) == alternative.Type || typeOf(value) == "integer" && alternative.Type == "number" {
			return
		}
		wanted = append(wanted, alternative.Type)
	}
	c.complain(place, "want %s, got %s", strings.Join(wanted, " or "), typeOf(value))
}

func (c *checker) checkObject(place string, value any, t *Type) {
	object, ok := value.(map[string]any)
	if !ok {
		c.complain(place, "want object, got %s", typeOf(value))
		return
	}
	for _, name := range t.Required {
		if _, ok := object[name]; !ok {
			c.complain(place+"."+name, "missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		field, known := t.Properties[name]
		switch {
		case known:
			c.check(place+"."+name, object[name], field)
		case t.Values != nil:
			c.check(place+"."+name, object[name], t.Values)
		case t.Properties != nil:
			c.complain(place+"."+name, "unknown field")
		}
	}
}

func (c *checker) checkList(place string, value any, t *Type) {
	list, ok := value.([]any)
	if !ok {
		c.complain(place, "want array, got %s", typeOf(value))
		return
	}
	seen := make(map[string]bool)
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", place, i)
		c.check(at, item, t.Items)
		if object, ok := item.(map[string]any); ok && len(t.Keys) > 0 {
			key := keyOf(object, t.Keys)
			if seen[key] {
				c.complain(at, "a second %s", key)
			}
			seen[key] = true
		}
	}
}

// keyOf returns the fields that tell an item of a list apart.
func keyOf(object map[string]any, keys []string) string {
	var parts []string
	for _, key := range keys {
		if value, ok := object[key]; ok {
			parts = append(parts, fmt.Sprintf("%s %v", key, value))
		}
	}
	return strings.Join(parts, ", ")
}

func (c *checker) checkScalar(place string, value any, t *Type) {
	got := typeOf(value)
	if got != t.Type && !(got == "integer" && t.Type == "number") {
		c.complain(place, "want %s, got %s", t.Type, got)
		return
	}
	text, ok := value.(string)
	if !ok {
		return
	}
	if len(t.Enum) > 0 && !slices.Contains(t.Enum, text) {
		c.complain(place, "want one of %s, got %q", strings.Join(t.Enum, ", "), text)
	}
	if t.Format == "byte" {
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			c.complain(place, "want base64, got %q", text)
		}
	}
}

// typeOf returns the OpenAPI type of a decoded value.
func typeOf(value any) string {
	switch v := value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, int64, uint64:
		return "integer"
	case float64:
		if v == float64(int64(v)) {
			return "integer" // JSON decodes every number so
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return fmt.Sprintf("%T", value)
}
