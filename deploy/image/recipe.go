package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/folkmoot/folkmoot/deploy/image/oci"
	"github.com/folkmoot/folkmoot/deploy/image/sbom"
)

const (
	home = "/var/lib/moot"
	// nonRoot is the user and group that the program runs as: above those of a system, and the one that images without a shell
	// have agreed on.
	nonRoot = 65532
	creator = "folkmoot-deploy-image"
	website = "https://github.com/folkmoot/folkmoot"
)

// recipe is all that an image depends on.
type recipe struct {
	// programs has one for each platform, of one version.
	programs   []program
	references []string
	created    time.Time
}

// assemble returns the archive, and each program's bill of materials.
func (r recipe) assemble() (archive oci.Archive, bills [][]byte, err error) {
	archive = oci.Archive{References: r.references, Annotations: r.labels(r.programs[0]), Modified: r.created}
	for _, p := range r.programs {
		bill, err := r.bill(p)
		if err != nil {
			return archive, nil, err
		}
		layer, err := oci.NewLayer(contents(p, bill), r.created)
		if err != nil {
			return archive, nil, err
		}
		archive.Images = append(archive.Images, oci.Image{
			Platform: p.platform, Created: r.created, CreatedBy: creator, Process: r.process(p), Layer: layer, Annotations: r.labels(p),
		})
		bills = append(bills, bill)
	}
	return archive, bills, nil
}

// contents returns the files of the image. Certificates of public authorities are not among them: peers prove who they are by
// their keys. A program that asks an API over TLS mounts its authority and names it in SSL_CERT_FILE.
func contents(p program, bill []byte) []oci.File {
	files := []oci.File{
		{Path: "/moot", Mode: 0o755, Data: p.data},
		{Path: home, Mode: fs.ModeDir | 0o700, UID: nonRoot, GID: nonRoot},
		{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "/usr/share/sbom/moot.spdx.json", Mode: 0o644, Data: bill},
		{Path: "/usr/share/licenses/moot/THIRD-PARTY", Mode: 0o644, Data: thirdParty(p.modules)},
	}
	for _, n := range p.notices {
		files = append(files, oci.File{Path: "/usr/share/licenses/moot/" + n.Name, Mode: 0o644, Data: []byte(n.Text)})
	}
	return files
}

// thirdParty returns the licences of the modules, which most of them want to travel with the program.
func thirdParty(modules []sbom.Module) []byte {
	var text strings.Builder
	for _, m := range modules {
		for _, n := range m.Notices {
			fmt.Fprintf(&text, "==== %s %s, %s\n\n%s\n\n", m.Path, m.Version, n.Name, strings.TrimSpace(n.Text))
		}
	}
	return []byte(text.String())
}

func (r recipe) process(p program) oci.Process {
	return oci.Process{
		User:         fmt.Sprintf("%d:%[1]d", nonRoot),
		Env:          []string{"PATH=/", "MOOT_HOME=" + home},
		Entrypoint:   []string{"/moot"},
		Cmd:          []string{"run"},
		WorkingDir:   "/",
		Volumes:      map[string]struct{}{home: {}},
		ExposedPorts: map[string]struct{}{"4242/tcp": {}, "4242/udp": {}},
		Labels:       r.labels(p),
	}
}

// labels returns what is told of the image in its configuration and, as annotations, in its manifest and index
// (https://github.com/opencontainers/image-spec/blob/main/annotations.md).
func (r recipe) labels(p program) map[string]string {
	labels := map[string]string{}
	for key, value := range map[string]string{
		"title":         "Folkmoot",
		"description":   "A peer-to-peer node for Kubernetes",
		"url":           website,
		"source":        website,
		"documentation": website + "/tree/main/docs",
		"licenses":      license(p),
		"version":       p.version(),
		"revision":      setting(p.info, "vcs.revision"),
		"created":       r.created.Format(time.RFC3339),
	} {
		if value != "" {
			labels["org.opencontainers.image."+key] = value
		}
	}
	return labels
}

// license returns the licence of the program's own module, "" if it is not recognised.
func license(p program) string {
	own := sbom.Module{Notices: p.notices}
	if l := own.License(); l != sbom.Unknown {
		return l
	}
	return ""
}

// bill returns the program's bill of materials.
func (r recipe) bill(p program) ([]byte, error) {
	b := sbom.Program{
		Name: "moot", Version: p.version(), Module: p.info.Main.Path, License: license(p), Platform: p.platform.String(),
		SHA256: sha256.Sum256(p.data), GoVersion: p.info.GoVersion, Modules: slices.Clone(p.modules), Created: r.created, Creator: creator,
	}
	if revision := setting(p.info, "vcs.revision"); revision != "" {
		b.Source = "git+" + website + "@" + revision
	}
	return b.SPDX()
}
