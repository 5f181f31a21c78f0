// Package kubernetes asks the API server of the cluster that the program runs in about the StatefulSet that its pod belongs to, and for what the pods of a network have in common.
package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/folkmoot/folkmoot/fault"
)

// ServiceAccount is the folder in which Kubernetes gives a pod the credentials of its service account.
const ServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// Variables of the environment that tell a program of its pod. Kubernetes sets the first two itself, and HOSTNAME to the pod's name unless the pod is in the node's
// network; MOOT_POD_NAME is for the pod's author to set from metadata.name.
const (
	envHost     = "KUBERNETES_SERVICE_HOST"
	envPort     = "KUBERNETES_SERVICE_PORT"
	envPodName  = "MOOT_POD_NAME"
	envHostname = "HOSTNAME"
)

// maxFile bounds the files of a service account in bytes.
const maxFile = 1 << 20

// A Cluster is how a pod asks the API server of its cluster, in its own namespace.
type Cluster struct {
	server string                                                            // HOST:PORT
	folder string                                                            // the service account's
	dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: as usual
	reach  func(ctx context.Context, network, addr string) (net.Conn, error) // the same, for pods
}

// A Pod is a pod of a StatefulSet.
type Pod struct {
	*Cluster
	name, set string
	ordinal   int64
}

// InCluster returns the cluster that the program runs in. folder is the service account's, ServiceAccount outside of tests. Outside of a pod it is fault.Invalid.
func InCluster(lookupEnv func(string) (string, bool), folder string) (*Cluster, error) {
	host, _ := lookupEnv(envHost)
	port, _ := lookupEnv(envPort)
	if host == "" {
		return nil, fault.New(fault.Invalid, "this is no pod of Kubernetes: %s is not set", envHost)
	}
	return &Cluster{server: net.JoinHostPort(host, cmp.Or(port, "443")), folder: folder}, nil
}

// Here returns the pod that the program runs in. folder is the service account's, ServiceAccount outside of tests. Outside of a pod, and in one that is not of a StatefulSet, it is
// fault.Invalid.
func Here(lookupEnv func(string) (string, bool), folder string) (*Pod, error) {
	env := func(name string) string {
		value, _ := lookupEnv(name)
		return value
	}
	cluster, err := InCluster(lookupEnv, folder)
	if err != nil {
		return nil, err
	}
	name := cmp.Or(env(envPodName), env(envHostname))
	set, ordinal, ok := splitName(name)
	if !ok {
		return nil, fault.New(fault.Invalid, "pod %q is not one of a StatefulSet, whose names end in a number; set %s to the pod's name", name, envPodName)
	}
	return &Pod{cluster, name, set, ordinal}, nil
}

// Ordinal returns the pod's number in its StatefulSet.
func (p *Pod) Ordinal() int { return int(p.ordinal) }

// splitName takes a pod's name apart into that of its StatefulSet and its ordinal.
func splitName(pod string) (set string, ordinal int64, ok bool) {
	i := strings.LastIndexByte(pod, '-')
	if i <= 0 || !isName(pod) {
		return "", 0, false
	}
	n, err := strconv.ParseUint(pod[i+1:], 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != pod[i+1:] {
		return "", 0, false
	}
	return pod[:i], int64(n), true
}

// maxName is the length limit of an object's name (RFC 1123 subdomain), in bytes.
const maxName = 253

// isName tells whether s may be the name of an object or a namespace, so that it is safe in a URL.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// read returns a file of the service account. It is read anew each time, since tokens are replaced while a pod runs.
func (c *Cluster) read(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(c.folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the pod has no service account: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: longer than %d bytes", f.Name(), maxFile)
	}
	return data, nil
}

// readLine is read for a file of one line.
func (c *Cluster) readLine(name string) (string, error) {
	data, err := c.read(name)
	line := strings.TrimSpace(string(data))
	if err == nil && (line == "" || strings.ContainsAny(line, " \t\r\n")) {
		err = fmt.Errorf("%s: want one line", filepath.Join(c.folder, name))
	}
	return line, err
}
