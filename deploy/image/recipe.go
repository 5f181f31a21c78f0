package main

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/folkmoot/folkmoot/deploy/compile"
	"github.com/folkmoot/folkmoot/deploy/image/oci"
)

const (
	home = "/var/lib/moot"
	// nonRoot is the user and group that the program runs as: above those of a system, and the one that images without a shell
	// have agreed on.
	nonRoot = 65532
	creator = "folkmoot-deploy-image"
	website = compile.Website
)

// recipe is all that an image depends on.
type recipe struct {
	// programs has one for each platform, of one version.
	programs   []compile.Program
	references []string
	created    time.Time
}

// assemble returns the archive, and each program's bill of materials.
func (r recipe) assemble() (archive oci.Archive, bills [][]byte, err error) {
	archive = oci.Archive{References: r.references, Annotations: r.labels(r.programs[0]), Modified: r.created}
	for _, p := range r.programs {
		bill, err := p.Bill(creator, r.created)
		if err != nil {
			return archive, nil, err
		}
		layer, err := oci.NewLayer(contents(p, bill), r.created)
		if err != nil {
			return archive, nil, err
		}
		archive.Images = append(archive.Images, oci.Image{
			Platform: p.Platform, Created: r.created, CreatedBy: creator, Process: r.process(p), Layer: layer, Annotations: r.labels(p),
		})
		bills = append(bills, bill)
	}
	return archive, bills, nil
}

// contents returns the files of the image. Certificates of public authorities are not among them: peers prove who they are by
// their keys. A program that asks an API over TLS mounts its authority and names it in SSL_CERT_FILE.
func contents(p compile.Program, bill []byte) []oci.File {
	files := []oci.File{
		{Path: "/moot", Mode: 0o755, Data: p.Data},
		{Path: home, Mode: fs.ModeDir | 0o700, UID: nonRoot, GID: nonRoot},
		{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "/usr/share/sbom/moot.spdx.json", Mode: 0o644, Data: bill},
		{Path: "/usr/share/licenses/moot/THIRD-PARTY", Mode: 0o644, Data: p.ThirdParty()},
	}
	for _, n := range p.Notices {
		files = append(files, oci.File{Path: "/usr/share/licenses/moot/" + n.Name, Mode: 0o644, Data: []byte(n.Text)})
	}
	return files
}

func (r recipe) process(p compile.Program) oci.Process {
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
func (r recipe) labels(p compile.Program) map[string]string {
	labels := map[string]string{}
	for key, value := range map[string]string{
		"title":         "Folkmoot",
		"description":   "A peer-to-peer node for Kubernetes",
		"url":           website,
		"source":        website,
		"documentation": website + "/tree/main/docs",
		"licenses":      p.License(),
		"version":       p.Version(),
		"revision":      p.Setting("vcs.revision"),
		"created":       r.created.Format(time.RFC3339),
	} {
		if value != "" {
			labels["org.opencontainers.image."+key] = value
		}
	}
	return labels
}
