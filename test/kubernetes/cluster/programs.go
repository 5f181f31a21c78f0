//go:build linux

package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// KubernetesVersion is that of the cluster. It can't be raised alone: see docs/kubernetes-harness.md.
const KubernetesVersion = "v1.36.3"

// A suite is a set of programs that are built together from a module of their own, and kept.
type suite struct {
	name     string   // the module's folder below test/kubernetes/build
	packages []string // what is built
	links    []string // further names of the first program
	flags    string   // the linker's
	about    string   // what building it takes
}

var (
	kubernetesSuite = suite{
		name:     "cluster",
		packages: []string{"./kubernetes", "./pause"},
		links: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns",
			"provisioner", "kubectl"},
		flags: versionFlags(KubernetesVersion),
		about: "Kubernetes " + KubernetesVersion + " and etcd: ten minutes on two processors, once",
	}
	helmSuite = suite{
		name:     "helm",
		packages: []string{"helm.sh/helm/v3/cmd/helm"},
		flags:    "-s -w",
		about:    "helm: two minutes on two processors, once",
	}
)

// versionFlags make the programs say which version of Kubernetes they are, as the project's own build does.
func versionFlags(version string) string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := []string{"-s", "-w"}
	for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, setting := range [][2]string{
			{"gitVersion", version}, {"gitMajor", major}, {"gitMinor", minor},
			{"gitCommit", "0"}, {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"},
		} {
			flags = append(flags, "-X", p+"."+setting[0]+"="+setting[1])
		}
	}
	return strings.Join(flags, " ")
}

// build returns the folder of the suite's programs, which are built if they are not there yet.
func (s suite) build(ctx context.Context, cache string, log io.Writer) (string, error) {
	tree, err := sourceTree()
	if err != nil {
		return "", err
	}
	source := filepath.Join(tree, "test", "kubernetes", "build", s.name)
	hash, err := s.hash(source)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "programs", s.name+"-"+hash)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, folder+".lock")
	if err != nil {
		return "", fmt.Errorf("wait for who builds %s: %w", s.name, err)
	}
	defer unlock()
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	fmt.Fprintf(log, "building %s\n", s.about)
	return folder, s.buildInto(ctx, source, folder)
}

func (s suite) buildInto(ctx context.Context, source, folder string) error {
	unfinished := folder + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-ldflags", s.flags, "-o", unfinished + "/"}, s.packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = source
	cmd.Env = buildEnvironment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", s.name, err, bytes.TrimSpace(out))
	}
	for _, link := range s.links {
		if err := os.Symlink(filepath.Base(s.packages[0]), filepath.Join(unfinished, link)); err != nil {
			return err
		}
	}
	return os.Rename(unfinished, folder)
}

func buildEnvironment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
}

// hash names what the suite's programs are made from.
func (s suite) hash(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %q %q %q\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, s.packages, s.links, s.flags)
	err := filepath.WalkDir(source, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, name)
		fmt.Fprintf(h, "%q %x\n", rel, sha256.Sum256(text))
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), err
}

// buildStage builds the program that keeps a computer, which is quick.
func buildStage(ctx context.Context, file string) error {
	tree, err := sourceTree()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, "./test/kubernetes/machine/stage")
	cmd.Dir = tree
	cmd.Env = buildEnvironment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the stage program: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

const module = "module github.com/folkmoot/folkmoot\n"

// sourceTree returns the root of the source tree that the working folder is in.
func sourceTree() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; folder = filepath.Dir(folder) {
		text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte(module)) {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("not in Folkmoot's source tree, from which the cluster's programs are built")
		}
	}
}

// Build builds all programs that clusters of this machine and their users need, unless that was done.
func Build(ctx context.Context, log io.Writer) error {
	cache, err := cacheFolder()
	if err != nil {
		return err
	}
	for _, s := range []suite{kubernetesSuite, helmSuite} {
		if _, err := s.build(ctx, cache, log); err != nil {
			return err
		}
	}
	return nil
}
