package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Decode returns the objects of a manifest: YAML documents, those that are empty aside. A key that is there twice is an error.
func Decode(manifest []byte) (objects []map[string]any, err error) {
	documents := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var object map[string]any
		err := documents.Decode(&object)
		switch {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("document %d: %w", len(objects)+1, err)
		case object != nil:
			objects = append(objects, object)
		}
	}
}

// Name returns the kind and name of an object, for messages.
func Name(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	return fmt.Sprintf("%v %v", object["kind"], metadata["name"])
}
