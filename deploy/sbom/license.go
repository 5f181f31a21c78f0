package sbom

import (
	"regexp"
	"slices"
	"strings"
)

// Unknown is what SPDX writes where nothing is claimed.
const Unknown = "NOASSERTION"

// declared matches a text's own word on its licence.
var declared = regexp.MustCompile(`SPDX-License-Identifier: ([A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*)`)

// between matches what lies between words; texts are compared without it.
var between = regexp.MustCompile(`[^a-z0-9]+`)

// A license is recognised by passages that its text has, and by those that only its kin has.
type license struct {
	id    string
	has   []string
	lacks []string
}

const (
	bsdGrant = "redistribution and use in source and binary forms"
	mitGrant = "permission is hereby granted free of charge to any person obtaining a copy"
	iscGrant = "distribute this software for any purpose with or without fee is hereby granted provided that the above copyright notice"
)

func licenses() []license {
	return []license{
		{id: "Apache-2.0", has: []string{"apache license version 2 0"}},
		{id: "BSD-2-Clause", has: []string{bsdGrant}, lacks: []string{"neither the name", "advertising materials", "names of its contributors", "name of the author may not"}},
		{id: "BSD-3-Clause", has: []string{bsdGrant, "neither the name"}, lacks: []string{"advertising materials"}},
		{id: "CC0-1.0", has: []string{"cc0 1 0 universal"}},
		{id: "ISC", has: []string{"permission to use copy modify and", iscGrant}},
		{id: "MIT", has: []string{mitGrant, "the above copyright notice and this permission notice"}},
		{id: "MPL-2.0", has: []string{"mozilla public license version 2 0"}},
		{id: "Unlicense", has: []string{"this is free and unencumbered software released into the public domain"}},
	}
}

// licensesIn returns the SPDX expressions of the licences that text declares, else of those whose own text is in it.
func licensesIn(text string) []string {
	if m := declared.FindStringSubmatch(text); m != nil {
		return []string{m[1]}
	}
	plain := between.ReplaceAllString(strings.ToLower(text), " ")
	present := func(passage string) bool { return strings.Contains(plain, passage) }
	absent := func(passage string) bool { return !present(passage) }
	if present("permissive license stack meaning either of") { // Protocol Labs' choice of two, often without their texts
		return []string{"Apache-2.0 OR MIT"}
	}
	var found []string
	for _, l := range licenses() {
		if !slices.ContainsFunc(l.has, absent) && !slices.ContainsFunc(l.lacks, present) {
			found = append(found, l.id)
		}
	}
	return found
}

// expression returns the SPDX expression of a module with these licence files. Files called after the licence that they hold, such
// as LICENSE-MIT beside LICENSE-APACHE, are the custom for a choice; what is otherwise in several texts holds together.
func expression(notices []Notice) string {
	var choice, all []string
	for _, n := range notices {
		name := strings.ToUpper(n.Name)
		if strings.HasPrefix(name, "NOTICE") {
			continue
		}
		found := licensesIn(n.Text)
		all = append(all, found...)
		if strings.HasSuffix(name, "-MIT") || strings.HasSuffix(name, "-APACHE") {
			choice = append(choice, found...)
		}
	}
	slices.Sort(choice)
	slices.Sort(all)
	choice, all = slices.Compact(choice), slices.Compact(all)
	switch {
	case len(choice) > 1 && len(choice) == len(all):
		return strings.Join(choice, " OR ")
	case len(all) == 1:
		return all[0]
	case len(all) > 1:
		for i, l := range all {
			if strings.Contains(l, " OR ") {
				all[i] = "(" + l + ")"
			}
		}
		return strings.Join(all, " AND ")
	}
	return Unknown
}
