package measure

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	for _, step := range []struct {
		file      string
		add, want []int
	}{
		{"", []int{1}, []int{1}},
		{file, []int{1, 2}, []int{1, 2}},
		{file, nil, []int{1, 2}},
		{file, []int{3}, []int{1, 2, 3}},
	} {
		if all, err := Keep(step.file, step.add); err != nil || !slices.Equal(all, step.want) {
			t.Errorf("Keep(%q, %v) = %v, %v, want %v", step.file, step.add, all, err, step.want)
		}
	}
	if _, err := Keep[string](file, nil); err == nil {
		t.Error("numbers were read as strings")
	}
}
