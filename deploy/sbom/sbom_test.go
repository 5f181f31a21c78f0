package sbom

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	mit    = "Permission is hereby granted, free of charge, to any person obtaining a copy of … The above copyright notice and this permission notice shall be"
	apache = "Apache License\n     Version 2.0, January 2004"
	bsd2   = "Redistribution and use in source and binary\n// forms, with or without modification, are permitted"
	bsd3   = bsd2 + " * Neither the name of Google Inc."
)

func TestLicensesAreRecognised(t *testing.T) {
	for _, tt := range []struct {
		name    string
		notices []Notice
		want    string
	}{
		{"none", nil, Unknown},
		{"unknown", []Notice{{"LICENSE", "ask me"}}, Unknown},
		{"MIT", []Notice{{"LICENSE", mit}}, "MIT"},
		{"a notice is no licence", []Notice{{"LICENSE", mit}, {"NOTICE", apache}}, "MIT"},
		{"BSD with two clauses", []Notice{{"COPYING", bsd2}}, "BSD-2-Clause"},
		{"BSD with three clauses", []Notice{{"LICENSE", bsd3}}, "BSD-3-Clause"},
		{"BSD with four clauses", []Notice{{"LICENSE", bsd3 + " All advertising materials mentioning"}}, Unknown},
		{"two in one file", []Notice{{"LICENSE", apache + bsd3}}, "Apache-2.0 AND BSD-3-Clause"},
		{"two files", []Notice{{"LICENSE", apache}, {"LICENSE.yaml", mit}}, "Apache-2.0 AND MIT"},
		{"a choice of two files", []Notice{{"LICENSE-APACHE", apache}, {"LICENSE-MIT", mit}}, "Apache-2.0 OR MIT"},
		{"declared", []Notice{{"LICENSE", "SPDX-License-Identifier: Apache-2.0 OR MIT\n" + apache + mit}}, "Apache-2.0 OR MIT"},
		{"a choice and another", []Notice{{"LICENSE", "SPDX-License-Identifier: Apache-2.0 OR MIT"}, {"LICENSE-BSD", bsd3}}, "(Apache-2.0 OR MIT) AND BSD-3-Clause"},
		{"the permissive stack", []Notice{{"LICENSE.md", "Licensed under the `Permissive License Stack`, meaning either of:"}}, "Apache-2.0 OR MIT"},
	} {
		if got := (Module{Notices: tt.notices}).License(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNoticesAreThoseOfTheFolder(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"LICENSE", "licence.txt", "COPYING", "NOTICE", "UNLICENSE", "license.go", "README.md", "LICENSES-used"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "LICENSE.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	notices, err := NoticesIn(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range notices {
		names = append(names, n.Name)
		if n.Text != n.Name {
			t.Errorf("%s holds %q", n.Name, n.Text)
		}
	}
	if want := []string{"COPYING", "LICENSE", "NOTICE", "UNLICENSE", "licence.txt"}; !slices.Equal(names, want) {
		t.Errorf("notices %q, want %q", names, want)
	}
}

// TestModulesOfThisProgram asks the go command about modules of this one.
func TestModulesOfThisProgram(t *testing.T) {
	info := &debug.BuildInfo{Deps: []*debug.Module{
		{Path: "github.com/spf13/cobra", Version: "v1", Sum: "h1:x"},
		{Path: "golang.org/x/sync", Version: "v0", Replace: &debug.Module{Path: "example.org/sync", Version: "v9", Sum: "h1:y"}},
	}}
	modules, err := Modules(t.Context(), ".", info)
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) != 2 || modules[0].License() != "Apache-2.0" || modules[1].License() != "BSD-3-Clause" {
		t.Errorf("modules %+v", modules)
	}
	if modules[1].Path != "example.org/sync" || modules[1].Version != "v9" || modules[1].Sum != "h1:y" {
		t.Errorf("the replacement of a module is not what the program is said to be built from: %+v", modules[1])
	}
	info.Deps = []*debug.Module{{Path: "example.org/not-a-module-of-ours"}}
	if _, err := Modules(t.Context(), ".", info); err == nil || !strings.Contains(err.Error(), "example.org") {
		t.Errorf("a module that nobody knows: %v", err)
	}
}

func program() Program {
	return Program{
		Name: "moot", Version: "v1.2.3+x", Module: "github.com/folkmoot/folkmoot", License: "Apache-2.0", Platform: "linux/amd64",
		SHA256: sha256.Sum256([]byte("program")), GoVersion: "go1.26.1", Created: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Creator: "test",
		Modules: []Module{
			{Path: "example.org/A/b_c", Version: "v2.0.0+incompatible", Sum: "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=", Notices: []Notice{{"LICENSE", mit}}},
			{Path: "example.org/A/b-c", Version: "v1.0.0"},
		},
	}
}

// TestDocumentKeepsTheSpecification checks the rules of SPDX 2.3 that its JSON schema and its text make.
func TestDocumentKeepsTheSpecification(t *testing.T) {
	text, err := program().SPDX()
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Version != "SPDX-2.3" || d.DataLicense != "CC0-1.0" || d.ID != "SPDXRef-DOCUMENT" || d.Creation.Created != "2026-02-03T04:05:06Z" {
		t.Errorf("document %+v", d)
	}
	if strings.ContainsAny(d.Namespace, "# ") || !strings.HasPrefix(d.Namespace, "https://github.com/folkmoot/folkmoot/spdx/") {
		t.Errorf("namespace %q", d.Namespace)
	}
	ids := map[string]bool{d.ID: true}
	for _, p := range d.Packages {
		if !regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`).MatchString(p.ID) || ids[p.ID] {
			t.Errorf("id %q is wrong or there twice", p.ID)
		}
		ids[p.ID] = true
	}
	if len(d.Packages) != 4 || len(d.Relationships) != 4 {
		t.Fatalf("%d packages, %d relationships", len(d.Packages), len(d.Relationships))
	}
	for _, r := range d.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("relationship of something that is not there: %+v", r)
		}
	}
	if r := d.Relationships[0]; r != (relationship{"SPDXRef-DOCUMENT", "DESCRIBES", d.Packages[0].ID}) {
		t.Errorf("what the document describes: %+v", r)
	}
	main, library, m := d.Packages[0], d.Packages[1], d.Packages[2]
	if main.Checksums[0].Value != fmt.Sprintf("%x", sha256.Sum256([]byte("program"))) || main.LicenseDeclared != "Apache-2.0" {
		t.Errorf("program %+v", main)
	}
	if library.Name != "stdlib" || library.Version != "1.26.1" || library.LicenseDeclared != "BSD-3-Clause" {
		t.Errorf("standard library %+v", library)
	}
	if m.LicenseDeclared != "MIT" || m.Checksums[0] != (checksum{"SHA256", strings.Repeat("0", 63) + "1"}) {
		t.Errorf("module %+v", m)
	}
	if got := m.ExternalRefs[0].Locator; got != "pkg:golang/example.org/a/b_c@v2.0.0%2Bincompatible" {
		t.Errorf("package URL %q", got)
	}
	if unsummed := d.Packages[3]; unsummed.Checksums != nil || unsummed.LicenseDeclared != Unknown {
		t.Errorf("module without a checksum %+v", unsummed)
	}
}

func TestWrongChecksumsAreRefused(t *testing.T) {
	for _, sum := range []string{"h2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=", "h1:AAE=", "h1:???"} {
		p := program()
		p.Modules[0].Sum = sum
		if _, err := p.SPDX(); err == nil {
			t.Errorf("took the checksum %q", sum)
		}
	}
}
