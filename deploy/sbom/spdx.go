// Package sbom says what a Go program was built from: every module with its version, checksum and licence, as an SPDX 2.3
// document (https://spdx.github.io/spdx-spec/v2.3/). Its source is the information that the go command put into the program itself.
package sbom

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Program is what a document describes.
type Program struct {
	// Name and Version are the program's; Module, License and Source its main module's path, licence, and repository at the commit built,
	// "" if unknown.
	Name, Version, Module, License, Source string
	// Platform is what the program was built for, OS/ARCH.
	Platform string
	// SHA256 is the digest of the program's file.
	SHA256 [32]byte
	// GoVersion is the toolchain's, such as go1.26.0. The standard library comes with it.
	GoVersion string
	Modules   []Module
	// Created is the time that the document names, whole seconds.
	Created time.Time
	// Creator names the program that writes the document.
	Creator string
}

// document is an SPDX document; the names are the specification's.
type document struct {
	Version       string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID               string     `json:"SPDXID"`
	Name             string     `json:"name"`
	Version          string     `json:"versionInfo,omitempty"`
	Purpose          string     `json:"primaryPackagePurpose"`
	DownloadLocation string     `json:"downloadLocation"`
	FilesAnalyzed    bool       `json:"filesAnalyzed"`
	Checksums        []checksum `json:"checksums,omitempty"`
	LicenseConcluded string     `json:"licenseConcluded"`
	LicenseDeclared  string     `json:"licenseDeclared"`
	CopyrightText    string     `json:"copyrightText"`
	ExternalRefs     []external `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type external struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const documentID = "SPDXRef-DOCUMENT"

// SPDX returns the document, indented JSON with a newline at its end. The same program gives the same bytes.
func (p Program) SPDX() ([]byte, error) {
	sha := hex.EncodeToString(p.SHA256[:])
	name := fmt.Sprintf("%s-%s-%s", p.Name, p.Version, strings.ReplaceAll(p.Platform, "/", "-"))
	d := document{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID, Name: name,
		Namespace: "https://" + p.Module + "/spdx/" + url.PathEscape(name) + "-" + sha,
		Creation:  creation{Created: p.Created.UTC().Format(time.RFC3339), Creators: []string{"Tool: " + p.Creator}},
	}
	main := spdxPackage{
		ID: "SPDXRef-Program-" + idSafe(p.Name), Name: p.Name, Version: p.Version, Purpose: "APPLICATION",
		DownloadLocation: or(p.Source, Unknown), Checksums: []checksum{{"SHA256", sha}},
		LicenseConcluded: Unknown, LicenseDeclared: or(p.License, Unknown), CopyrightText: Unknown,
		ExternalRefs: packageURL(p.Module, p.Version),
	}
	d.Packages = append(d.Packages, main)
	d.relate(documentID, "DESCRIBES", main.ID)
	library := Module{Path: "stdlib", Version: strings.TrimPrefix(p.GoVersion, "go")}
	for i, m := range append([]Module{library}, p.Modules...) {
		linked, err := m.spdx(fmt.Sprintf("SPDXRef-Module-%d-%s", i, idSafe(m.Path)))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			linked.LicenseDeclared = "BSD-3-Clause"
		}
		d.Packages = append(d.Packages, linked)
		d.relate(main.ID, "DEPENDS_ON", linked.ID)
	}
	return encode(d)
}

func (d *document) relate(element, how, related string) {
	d.Relationships = append(d.Relationships, relationship{element, how, related})
}

func (m Module) spdx(id string) (spdxPackage, error) {
	p := spdxPackage{
		ID: id, Name: m.Path, Version: m.Version, Purpose: "LIBRARY", DownloadLocation: Unknown,
		LicenseConcluded: Unknown, LicenseDeclared: m.License(), CopyrightText: Unknown, ExternalRefs: packageURL(m.Path, m.Version),
	}
	if m.Sum == "" {
		return p, nil
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || !strings.HasPrefix(m.Sum, "h1:") || len(sum) != 32 {
		return p, fmt.Errorf("module %s has the checksum %q: want h1: and 32 bytes in base64", m.Path, m.Sum)
	}
	p.Checksums = []checksum{{"SHA256", hex.EncodeToString(sum)}}
	return p, nil
}

// packageURL names a module for scanners of known vulnerabilities (https://github.com/package-url/purl-spec, type golang).
func packageURL(module, version string) []external {
	locator := "pkg:golang/" + strings.ToLower(module)
	if version != "" {
		locator += "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
	}
	return []external{{"PACKAGE-MANAGER", "purl", locator}}
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// idSafe returns s with what an SPDXID can't hold replaced.
func idSafe(s string) string { return notInID.ReplaceAllString(s, "-") }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func encode(d document) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("encode the SPDX document: %w", err)
	}
	return text.Bytes(), nil
}
