//go:build linux

package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func certificateOf(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM block in %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAuthorityIssues(t *testing.T) {
	now := time.Now()
	a, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificateOf(t, a.pem()))

	server, err := a.server(now, "s", []string{"kubernetes"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubernetes", "127.0.0.1"} {
		if _, err := certificateOf(t, server.certificate).Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("the server can't be %s: %v", name, err)
		}
	}

	client, err := a.client(now, "system:node:node-a", "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	c := certificateOf(t, client.certificate)
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client's certificate serves as a server's")
	}
	if c.Subject.CommonName != "system:node:node-a" || !slices.Equal(c.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("the client is %v", c.Subject)
	}
}

func TestKubeconfigIsWhatClientsRead(t *testing.T) {
	a, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		CurrentContext string `yaml:"current-context"`
		Clusters       []struct {
			Cluster struct{ Server string }
		}
	}
	if err := yaml.Unmarshal(a.kubeconfig("folkmoot-x", "127.0.0.1:7", pair{[]byte("c"), []byte("k")}), &config); err != nil {
		t.Fatal(err)
	}
	if config.CurrentContext != "folkmoot-x" || config.Clusters[0].Cluster.Server != "https://127.0.0.1:7" {
		t.Errorf("it says %+v", config)
	}
}

func TestImageArchive(t *testing.T) {
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "p"), filepath.Join(dir, "image.tar")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeImage(archive, "name:1", program); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, text)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(manifest[0].RepoTags, []string{"name:1"}) {
		t.Errorf("it is tagged %q", manifest[0].RepoTags)
	}
	if !json.Valid(files[manifest[0].Config]) {
		t.Errorf("its config is %q", files[manifest[0].Config])
	}
	if got := untar(t, files[manifest[0].Layers[0]])["pause"]; string(got) != "program" {
		t.Errorf("its program is %q", got)
	}
}

func untar(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamesOfClusters(t *testing.T) {
	for name, ok := range map[string]bool{
		"dev": true, "a": true, "a-1": true, "exactly-16-chars": true,
		"": false, "-a": false, "a-": false, "A": false, "a/b": false, "..": false, "seventeen-chars-x": false,
	} {
		if _, err := homeOf("/cache", name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNodesHaveAddressesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range places {
		if !planeAddr.Contains(p.addr.Addr()) || !podRange.Contains(p.pods.Addr()) {
			t.Errorf("%+v is not on the LAN or its pods are not in their range", p)
		}
		if seen[p.addr.String()] || seen[p.pods.String()] || p.pods.Bits() <= podRange.Bits() {
			t.Errorf("%+v shares its addresses", p)
		}
		seen[p.addr.String()], seen[p.pods.String()] = true, true
	}
	if serviceNet.Addr().Next() != apiService || !serviceNet.Contains(dnsService) {
		t.Error("the Services' addresses are not where Kubernetes has them")
	}
}

func TestImportedImages(t *testing.T) {
	out := "unpacking localhost/folkmoot/moot:1.0 (sha256:0123)...done\nelapsed: 1 s\nunpacking b:2 (sha256:4567)...done\n"
	if got := imported(out); !slices.Equal(got, []string{"localhost/folkmoot/moot:1.0", "b:2"}) {
		t.Errorf("imported %q", got)
	}
	if got := imported("nothing"); got != nil {
		t.Errorf("imported %q", got)
	}
}

func TestLoaderOfExistingClusters(t *testing.T) {
	for context, want := range map[string]string{
		"kind-two": "kind load image-archive i.tar --name two",
		"minikube": "minikube image load i.tar --profile minikube",
	} {
		if got, err := loader(context, "i.tar"); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", context, got, err)
		}
	}
	if _, err := loader("prod", "i.tar"); err == nil || !strings.Contains(err.Error(), "prod") {
		t.Errorf("error %v", err)
	}
}

func TestProgramsAreKeptByWhatTheyAreMadeFrom(t *testing.T) {
	source := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hash := func(s suite) string {
		h, err := s.hash(source)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	s := suite{name: "x", packages: []string{"./p"}, flags: "-s"}
	write("go.mod", "module x\n")
	first := hash(s)
	if again := hash(s); again != first {
		t.Errorf("the same sources have the hashes %s and %s", first, again)
	}
	seen := []string{first}
	write("go.mod", "module y\n")
	seen = append(seen, hash(s))
	write("main.go", "")
	seen = append(seen, hash(s))
	s.flags = "-w"
	seen = append(seen, hash(s))
	slices.Sort(seen)
	if unique := slices.Compact(slices.Clone(seen)); len(unique) != 4 {
		t.Errorf("four different builds have the hashes %q", seen)
	}
}

func TestVersionFlags(t *testing.T) {
	flags := versionFlags("v1.36.3")
	for _, want := range []string{"client-go/pkg/version.gitVersion=v1.36.3 ", "component-base/version.gitMinor=36 ", "version.gitMajor=1 "} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q is not in %q", want, flags)
		}
	}
}

func TestStateIsSavedAndLoaded(t *testing.T) {
	h := home{t.TempDir()}
	if s, err := h.load(); s != nil || err != nil {
		t.Fatalf("a new home has the state %v, %v", s, err)
	}
	if err := h.save(&state{Programs: "/p", Cut: true, Ready: true}); err != nil {
		t.Fatal(err)
	}
	s, err := h.load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Programs != "/p" || !s.Cut || !s.Ready || s.Plane.Alive() {
		t.Errorf("it was loaded as %+v", s)
	}
}

func TestLockIsHeldByOneAtATime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	var (
		all    sync.WaitGroup
		holder atomic.Int32
	)
	for range 8 {
		all.Go(func() {
			for range 20 {
				unlock, err := lockFile(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				if holder.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				holder.Add(-1)
				if err := unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock's file is left: %v", err)
	}
}

func TestLockIsWaitedForUntilTheContextEnds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockFile(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
