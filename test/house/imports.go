package house

import (
	"fmt"
	"strconv"
	"strings"
)

// checkLayers holds imports within the module to Rules.Layers. A folder without an entry is reported, so that a new one is placed.
func checkLayers(t *tree, rules Rules) []Violation {
	var found []Violation
	for _, f := range t.code() {
		from, ok := rules.layer(f.folder)
		if !ok {
			found = append(found, Violation{f.path, 0, fmt.Sprintf("the folder %s has no layer in the rules", f.folder)})
			continue
		}
		for _, spec := range f.syntax.Imports {
			target, ok := strings.CutPrefix(importPath(spec.Path.Value), rules.Module+"/")
			if !ok {
				continue
			}
			to, _ := rules.layer(target)
			if to.Folder != from.Folder && !contains(from.May, to.Folder) {
				found = append(found, Violation{f.path, t.line(spec.Pos()),
					fmt.Sprintf("%s may not import %s", from.Folder, target)})
			}
		}
	}
	return found
}

// checkModules holds imports of other modules to Rules.Modules.
func checkModules(t *tree, rules Rules) []Violation {
	var found []Violation
	for _, f := range t.code() {
		for _, spec := range f.syntax.Imports {
			imported := importPath(spec.Path.Value)
			for _, rule := range rules.Modules {
				if rule.forbids(f.folder, imported) {
					found = append(found, Violation{f.path, t.line(spec.Pos()),
						fmt.Sprintf("%s may not import %s: %s", f.folder, imported, rule.Why)})
				}
			}
		}
	}
	return found
}

func (r ModuleRule) forbids(folder, imported string) bool {
	return r.Import.MatchString(imported) && (r.Except == nil || !r.Except.MatchString(imported)) && !below(folder, r.By...)
}

// layer returns the most specific layer that holds folder.
func (r Rules) layer(folder string) (Layer, bool) {
	var best Layer
	ok := false
	for _, l := range r.Layers {
		if below(folder, l.Folder) && len(l.Folder) > len(best.Folder) {
			best, ok = l, true
		}
	}
	return best, ok
}

func contains(may []string, folder string) bool {
	for _, m := range may {
		if m == "*" || m == folder {
			return true
		}
	}
	return false
}

func importPath(literal string) string {
	s, err := strconv.Unquote(literal)
	if err != nil {
		return literal
	}
	return s
}
