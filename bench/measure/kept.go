package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Keep adds results to a file, one JSON document a line, and returns all that are in it: what takes long is measured in several runs. Without a file name it returns the results alone.
func Keep[T any](file string, results []T) (all []T, err error) {
	if file == "" {
		return results, nil
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("keep results: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	enc := json.NewEncoder(f)
	for _, r := range results {
		if err := enc.Encode(r); err != nil {
			return nil, fmt.Errorf("keep results in %s: %w", file, err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	for dec := json.NewDecoder(f); ; {
		var r T
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read results in %s: %w", file, err)
		}
		all = append(all, r)
	}
}
