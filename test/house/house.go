// Package house checks the rules of the source tree that the compiler can't: who may import whom, where the package
// comments are, that nothing hides in init functions or global loggers, that decoders are fuzzed, and that files stay small.
package house

import (
	"cmp"
	"fmt"
	"slices"
)

// A Violation is one place that breaks a rule.
type Violation struct {
	// Path is relative to the root of the tree, with slashes.
	Path string
	// Line is 0 where the whole file or folder is meant.
	Line    int
	Message string
}

// String returns the violation as compilers print theirs.
func (v Violation) String() string {
	if v.Line == 0 {
		return fmt.Sprintf("%s: %s", v.Path, v.Message)
	}
	return fmt.Sprintf("%s:%d: %s", v.Path, v.Line, v.Message)
}

// Check reads the tree under root and returns everything in it that breaks the rules, sorted by path and line.
func Check(root string, rules Rules) ([]Violation, error) {
	t, err := load(root)
	if err != nil {
		return nil, fmt.Errorf("read the tree %s: %w", root, err)
	}
	var found []Violation
	for _, check := range []func(*tree, Rules) []Violation{
		checkLayers, checkModules, checkPackageComments, checkGlobals, checkFuzzTargets, checkLengths, checkText,
	} {
		found = append(found, check(t, rules)...)
	}
	slices.SortFunc(found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
	return found, nil
}
