//go:build kubernetes && linux

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/kubernetes/cluster"
)

const (
	// commandPatience bounds a command that waits for nothing; those that wait have a bound of their own.
	commandPatience = 5 * time.Minute
	// dumpPatience bounds the showing of what went on in a namespace.
	dumpPatience = time.Minute
	// dumpedLines is how much of each container's log is shown.
	dumpedLines = 60
)

// A namespace is a test's own.
type namespace struct {
	t       *testing.T
	name    string
	cluster *cluster.Cluster
}

// newNamespace makes a namespace with Pod Security "restricted". It is deleted when the test ends; when the test failed, what is in it is shown first.
func newNamespace(t *testing.T, name string, labels ...string) *namespace {
	t.Helper()
	return newNamespaceIn(t, shared, name, labels...)
}

// newNamespaceIn is newNamespace in another cluster than that of all tests.
func newNamespaceIn(t *testing.T, c *cluster.Cluster, name string, labels ...string) *namespace {
	t.Helper()
	n := &namespace{t: t, name: name, cluster: c}
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	_, err := n.cluster.Kubectl(ctx, "create", "namespace", name)
	check(t, err)
	t.Cleanup(n.remove)
	if len(labels) == 0 {
		labels = []string{"pod-security.kubernetes.io/enforce=restricted"}
	}
	_, err = n.cluster.Kubectl(ctx, append([]string{"label", "namespace", name}, labels...)...)
	check(t, err)
	return n
}

func (n *namespace) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	if n.t.Failed() {
		n.dump(ctx)
	}
	// Nobody is to be waited for: what is in the namespace is of no use any more.
	_, err := n.cluster.Kubectl(ctx, "-n", n.name, "delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")
	if err != nil {
		n.t.Error(err)
	}
	if _, err := n.cluster.Kubectl(ctx, "delete", "namespace", n.name, "--wait=false"); err != nil {
		n.t.Error(err)
	}
}

// dump shows the objects, events and logs of the namespace, and what each peer says of the others.
func (n *namespace) dump(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dumpPatience)
	defer cancel()
	for _, args := range [][]string{
		{"get", "nodes", "-o", "wide"},
		{"get", "all,pvc,poddisruptionbudgets", "-o", "wide"},
		{"describe", "pods"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "--selector=app.kubernetes.io/name=folkmoot", "--all-containers", "--prefix", fmt.Sprintf("--tail=%d", dumpedLines), "--max-log-requests=20"},
	} {
		out, err := n.cluster.Kubectl(ctx, append([]string{"-n", n.name}, args...)...)
		n.t.Logf("kubectl -n %s %s: %v\n%s", n.name, strings.Join(args, " "), err, out)
	}
	names, err := n.cluster.Kubectl(ctx, "-n", n.name, "get", "pods", "--selector=app.kubernetes.io/name=folkmoot", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		n.t.Log(err)
	}
	for name := range strings.FieldsSeq(string(names)) {
		for _, command := range []string{"status", "peers"} {
			out, err := n.cluster.Kubectl(ctx, "-n", n.name, "exec", name, "--", "moot", command)
			n.t.Logf("moot %s at %s: %v\n%s", command, name, err, out)
		}
	}
}

// kubectl runs kubectl in the namespace and returns its stdout without the white space around it; it must succeed.
func (n *namespace) kubectl(args ...string) string {
	n.t.Helper()
	out, err := n.tryKubectl(args...)
	check(n.t, err)
	return out
}

// tryKubectl is kubectl that may fail.
func (n *namespace) tryKubectl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), commandPatience)
	defer cancel()
	out, err := n.cluster.Kubectl(ctx, append([]string{"-n", n.name}, args...)...)
	return strings.TrimSpace(string(out)), err
}

// helm runs helm in the namespace and returns its stdout; it must succeed.
func (n *namespace) helm(args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), commandPatience)
	defer cancel()
	out, err := n.cluster.Helm(ctx, append([]string{"-n", n.name}, args...)...)
	check(n.t, err)
	return string(out)
}
