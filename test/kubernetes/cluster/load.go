//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/folkmoot/folkmoot/test/kubernetes/machine"
)

// LoadImage gives an image archive to every node that runs. For an existing cluster it knows how with kind and minikube.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	archive, err := filepath.Abs(archive)
	if err != nil {
		return err
	}
	if c.existing != "" {
		return c.loadExisting(ctx, archive)
	}
	s, err := c.home.load()
	if err != nil {
		return err
	}
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		errs []error // guarded by mu
	)
	for node, processes := range s.Machines {
		all.Go(func() {
			if !processes.Alive() {
				return
			}
			if err := importImage(ctx, processes, archive); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("load %s onto %s: %w", archive, node, err))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// importImage returns once the node's kubelet can use the image.
func importImage(ctx context.Context, node *machine.Processes, archive string) error {
	// The socket is in a file system of the node's own.
	socket := fmt.Sprintf("/proc/%d/root%s", node.Init.ID, containerdSocket)
	images := func(args ...string) (string, error) {
		args = append([]string{"--address", socket, "--namespace", "k8s.io", "images"}, args...)
		out, err := outputOf(exec.CommandContext(ctx, "ctr", args...), "ctr", args)
		return string(out), err
	}
	out, err := images("import", archive)
	if err != nil {
		return err
	}
	names := imported(out)
	if len(names) == 0 {
		return fmt.Errorf("there is no image for this machine in it: %q", strings.TrimSpace(out))
	}
	return await(ctx, "the node to know the image", func(context.Context) error {
		known, err := images("list", "--quiet", `labels."io.cri-containerd.image"==managed`)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.Contains("\n"+known, "\n"+name+"\n") {
				return fmt.Errorf("%s is not known yet", name)
			}
		}
		return nil
	})
}

var unpacked = regexp.MustCompile(`(?m)^unpacking (\S+) \(`)

// imported returns the names of the images that ctr says it has imported.
func imported(out string) []string {
	var names []string
	for _, match := range unpacked.FindAllStringSubmatch(out, -1) {
		names = append(names, match[1])
	}
	return names
}

// loadExisting asks the program that made the cluster, which the name of the kubeconfig's context tells.
func (c *Cluster) loadExisting(ctx context.Context, archive string) error {
	out, err := c.Kubectl(ctx, "config", "current-context")
	if err != nil {
		return err
	}
	args, err := loader(strings.TrimSpace(string(out)), archive)
	if err != nil {
		return err
	}
	_, err = outputOf(c.command(ctx, args[0], args[1:]), args[0], args[1:])
	return err
}

// loader returns the command that loads an image archive into the cluster of that context.
func loader(context, archive string) ([]string, error) {
	if name, ok := strings.CutPrefix(context, "kind-"); ok {
		return []string{"kind", "load", "image-archive", archive, "--name", name}, nil
	}
	if strings.HasPrefix(context, "minikube") {
		return []string{"minikube", "image", "load", archive, "--profile", context}, nil
	}
	return nil, fmt.Errorf("how the cluster of context %q gets images is not known here, only for kind and minikube: load %s yourself", context, archive)
}
