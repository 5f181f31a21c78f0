// Package oci writes container images as archives that every runtime loads: an OCI image layout 1.1
// (https://github.com/opencontainers/image-spec), with the manifest.json of docker save beside it for runtimes that read only that.
// What it writes depends on its input alone: the same images give the same bytes.
package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Media types of the documents and blobs of an image.
const (
	MediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	MediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeConfig   = "application/vnd.oci.image.config.v1+json"
	MediaTypeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Annotations by which runtimes learn the name of an image in a layout.
const (
	// AnnotationTag holds the tag alone; it is the specification's own.
	AnnotationTag = "org.opencontainers.image.ref.name"
	// AnnotationName holds the whole reference; containerd, Docker and Podman read it.
	AnnotationName = "io.containerd.image.name"
)

// LayoutVersion is the version of image layouts, written to the file oci-layout.
const LayoutVersion = "1.0.0"

// Platform is what an image runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// ParsePlatform reads OS/ARCH.
func ParsePlatform(s string) (Platform, error) {
	os, arch, ok := strings.Cut(s, "/")
	if !ok || os == "" || arch == "" || strings.Contains(arch, "/") {
		return Platform{}, fmt.Errorf("platform %q: want OS/ARCH, such as linux/amd64", s)
	}
	return Platform{OS: os, Architecture: arch}, nil
}

// String returns OS/ARCH.
func (p Platform) String() string { return p.OS + "/" + p.Architecture }

// Descriptor points at a blob.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *Platform         `json:"platform,omitempty"`
}

// Index is a list of manifests: the index of an image for several platforms, or index.json of a layout.
type Index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []Descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Manifest is an image for one platform.
type Manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Config is an image's configuration.
type Config struct {
	Created time.Time `json:"created"`
	Platform
	Config  Process   `json:"config"`
	RootFS  RootFS    `json:"rootfs"`
	History []History `json:"history"`
}

// Process says how a container of the image runs. Sets are maps to empty objects, as the specification wants them.
type Process struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
}

// RootFS lists the digests of the layers before compression.
type RootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// History says where a layer came from.
type History struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// Image is what one platform's image is made of.
type Image struct {
	Platform Platform
	// Created is the one time that appears in the image, whole seconds in UTC.
	Created time.Time
	// CreatedBy names the program that made the layer.
	CreatedBy string
	Process   Process
	Layer     Layer
	// Annotations of the manifest.
	Annotations map[string]string
}

// digest names a blob by its content.
func digest(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// encode returns v as the JSON text whose digest names it.
func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}
