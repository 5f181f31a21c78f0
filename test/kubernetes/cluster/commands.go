//go:build linux

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/folkmoot/folkmoot/test/netns"
)

// Kubectl runs kubectl and returns what it prints; an error has what it complains of.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	return c.KubectlInput(ctx, nil, args...)
}

// KubectlInput is Kubectl with something to read.
func (c *Cluster) KubectlInput(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd, err := c.KubectlCommand(ctx, args...)
	if err != nil {
		return nil, err
	}
	cmd.Stdin = bytes.NewReader(stdin)
	return outputOf(cmd, "kubectl", args)
}

// Helm runs helm and returns what it prints; an error has what it complains of. The first time on a machine builds it.
func (c *Cluster) Helm(ctx context.Context, args ...string) ([]byte, error) {
	cmd, err := c.HelmCommand(ctx, args...)
	if err != nil {
		return nil, err
	}
	return outputOf(cmd, "helm", args)
}

// KubectlCommand returns a command that runs kubectl on the cluster: for an existing one that of the machine.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	if c.existing != "" {
		return c.command(ctx, "kubectl", args), nil
	}
	return c.command(ctx, filepath.Join(c.programs, "kubectl"), args), nil
}

// HelmCommand returns a command that runs helm on the cluster, and leaves nothing of its own in the user's home.
func (c *Cluster) HelmCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	programs, err := helmSuite.build(ctx, c.cache, c.log)
	if err != nil {
		return nil, err
	}
	return c.command(ctx, filepath.Join(programs, "helm"), args), nil
}

// command gives a program the cluster's kubeconfig, and folders below the cluster's for what it keeps.
func (c *Cluster) command(ctx context.Context, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	if c.existing == "" {
		for name, folder := range map[string]string{
			"KUBECACHEDIR": "kubectl", "HELM_CACHE_HOME": "helm/cache", "HELM_CONFIG_HOME": "helm/config", "HELM_DATA_HOME": "helm/data",
		} {
			cmd.Env = append(cmd.Env, name+"="+c.home.path("clients", folder))
		}
	}
	return cmd
}

func outputOf(cmd *exec.Cmd, name string, args []string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// Do runs f on a thread that is in the cluster's LAN, where pods, Services and nodes can be reached: sockets that f itself makes
// belong there for as long as they live, and so do commands that it starts.
func (c *Cluster) Do(f func() error) error {
	if c.existing != "" {
		return errExisting
	}
	return netns.Do(c.network.lan(), f)
}

// DialContext connects from the cluster's LAN; addr holds an IP address, not a name. What was sent and not acknowledged when the connection is closed is taken back: the kernel would go on sending it, and a request that
// its caller gave up while a link was cut would be carried out half a minute later, when the link is whole.
func (c *Cluster) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = c.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		if t, ok := conn.(*net.TCPConn); ok && err == nil {
			err = t.SetLinger(0)
		}
		return err
	})
	return conn, err
}
