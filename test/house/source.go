package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// checkPackageComments wants the comment of each package in exactly one of its files.
func checkPackageComments(t *tree, _ Rules) []Violation {
	var folders []string
	documented := map[string][]*file{}
	for _, f := range t.files {
		if f.syntax == nil || f.test {
			continue
		}
		if !slices.Contains(folders, f.folder) {
			folders = append(folders, f.folder)
		}
		if f.syntax.Doc != nil {
			documented[f.folder] = append(documented[f.folder], f)
		}
	}
	var found []Violation
	for _, folder := range folders {
		files := documented[folder]
		if len(files) == 0 {
			found = append(found, Violation{folder, 0, "the package has no comment"})
			continue
		}
		for _, f := range files[1:] {
			found = append(found, Violation{f.path, t.line(f.syntax.Doc.Pos()),
				fmt.Sprintf("a second package comment; the first is in %s", files[0].path)})
		}
	}
	return found
}

// checkGlobals wants no init functions and no loggers that packages share behind their callers' backs.
func checkGlobals(t *tree, _ Rules) []Violation {
	var found []Violation
	for _, f := range t.code() {
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					found = append(found, Violation{f.path, t.line(d.Pos()), "an init function: wire it where it is used"})
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR && mentionsLogger(d) {
					found = append(found, Violation{f.path, t.line(d.Pos()), "a logger in a package variable: hand it in"})
				}
			}
		}
		if !below(f.folder, "cmd", "bench") {
			found = append(found, defaultLogger(t, f)...)
		}
	}
	return found
}

func mentionsLogger(n ast.Node) bool {
	mentioned := false
	ast.Inspect(n, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		if sel, ok := n.(*ast.SelectorExpr); ok && isPackage(sel, "slog") {
			mentioned = mentioned || sel.Sel.Name == "Logger" || sel.Sel.Name == "New" || sel.Sel.Name == "Default"
		}
		return true
	})
	return mentioned
}

// defaultLogger finds uses of slog's default logger, which is a global by another name.
func defaultLogger(t *tree, f *file) []Violation {
	var found []Violation
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !isPackage(sel, "slog") {
			return true
		}
		switch strings.TrimSuffix(sel.Sel.Name, "Context") {
		case "Default", "SetDefault", "Debug", "Info", "Warn", "Error", "Log", "LogAttrs":
			found = append(found, Violation{f.path, t.line(sel.Pos()),
				fmt.Sprintf("slog.%s uses the default logger: use the one handed in", sel.Sel.Name)})
		}
		return true
	})
	return found
}

func isPackage(sel *ast.SelectorExpr, name string) bool {
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == name
}

// checkFuzzTargets wants a fuzz target in each package of Rules.Fuzzed.
func checkFuzzTargets(t *tree, rules Rules) []Violation {
	fuzzed := map[string]bool{}
	for _, f := range t.files {
		if f.syntax == nil || !f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && strings.HasPrefix(d.Name.Name, "Fuzz") {
				fuzzed[f.folder] = true
			}
		}
	}
	var found []Violation
	for _, folder := range rules.Fuzzed {
		if !fuzzed[folder] {
			found = append(found, Violation{folder, 0, "decodes bytes of others or of the disk, and has no fuzz target"})
		}
	}
	return found
}

// checkLengths wants Go files that a person can hold in the head.
func checkLengths(t *tree, rules Rules) []Violation {
	var found []Violation
	for _, f := range t.files {
		if f.syntax == nil || ast.IsGenerated(f.syntax) {
			continue
		}
		if n := bytes.Count(f.text, []byte("\n")); n > rules.MaxLines {
			found = append(found, Violation{f.path, 0, fmt.Sprintf("%d lines, over the limit of %d: split it", n, rules.MaxLines)})
		}
	}
	return found
}

// checkText wants none of Rules.Text in any file.
func checkText(t *tree, rules Rules) []Violation {
	var found []Violation
	for _, f := range t.files {
		if slices.Contains(rules.TextExempt, f.path) {
			continue
		}
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			for _, rule := range rules.Text {
				if m := rule.Pattern.Find(line); m != nil {
					found = append(found, Violation{f.path, i + 1, fmt.Sprintf("%q: %s", bytes.TrimSpace(m), rule.Why)})
				}
			}
		}
	}
	return found
}
