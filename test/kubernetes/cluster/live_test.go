//go:build linux && kubernetes

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/moottest"
	"github.com/folkmoot/folkmoot/test/netns"
)

// limit bounds each step of the test; steps take seconds.
const limit = 2 * time.Minute

// TestCluster brings a cluster up, uses it, breaks it and takes it down.
func TestCluster(t *testing.T) {
	needMachine(t)
	options := Options{Name: fmt.Sprintf("test-%d", os.Getpid()%1e6), Log: t.Output()}
	before := traces(t, options.Name)
	t.Cleanup(func() {
		if err := Down(context.WithoutCancel(t.Context()), options); err != nil {
			t.Error(err)
		}
	})
	c, err := Up(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	live := &live{c}
	live.startPods(t)

	t.Run("pods and Services answer across nodes", live.talk)
	t.Run("volumes belong to the group that a pod asks for", live.volumes)
	t.Run("restricted namespaces are enforced", live.restricted)
	t.Run("a cut link and a healed one", live.cut)
	t.Run("a killed node comes back", live.kill)
	t.Run("up is done once", func(t *testing.T) {
		var log bytes.Buffer
		if _, err := Up(t.Context(), Options{Name: options.Name, Log: &log}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "up already") {
			t.Errorf("the second up says %q", &log)
		}
	})

	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := traces(t, options.Name); !slices.Equal(before, after) {
		t.Errorf("what is on the machine has changed:\nbefore %q\nafter  %q", before, after)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Errorf("a second down: %v", err)
	}
}

// TestDownAfterCrash ends a cluster whose start was broken off before it was written down what runs.
func TestDownAfterCrash(t *testing.T) {
	needMachine(t)
	c, err := newCluster(Options{Name: fmt.Sprintf("crash-%d", os.Getpid()%1e6), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	before := traces(t, c.name)
	programs, err := kubernetesSuite.build(t.Context(), c.cache, c.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.prepare(t.Context(), programs); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(c.home.path("state.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.startMachines(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.home.path("state.json"), written, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), Options{Name: c.name}); err != nil {
		t.Fatal(err)
	}
	if after := traces(t, c.name); !slices.Equal(before, after) {
		t.Errorf("what is on the machine has changed:\nbefore %q\nafter  %q", before, after)
	}
}

// needMachine leaves a test out where the machine can't run a cluster, if that is allowed.
func needMachine(t *testing.T) {
	t.Helper()
	err := Supported()
	if err == nil {
		return
	}
	if !moottest.GapsAllowed() {
		t.Fatal(err)
	}
	t.Skipf("GAP: %v", err)
}

// traces lists what a cluster could leave on the machine: processes and mounts that mention it, its namespaces, control groups and
// folder, and settings of the whole machine.
func traces(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		found = append(found, "link "+l.Name())
	}
	for _, setting := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward",
		"net/netfilter/nf_conntrack_max", "fs/inotify/max_user_watches"} {
		value, _ := os.ReadFile("/proc/sys/" + setting)
		found = append(found, setting+"="+strings.TrimSpace(string(value)))
	}
	namespaces, err := netns.IP("netns", "list")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	ours := "folkmoot-" + name
	for line := range strings.Lines(namespaces + string(mounts)) {
		if strings.Contains(line, ours) || strings.Contains(line, "/clusters/"+name) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	cache, err := cacheFolder()
	if err != nil {
		t.Fatal(err)
	}
	h := home{filepath.Join(cache, "clusters", name)}
	for _, pattern := range []string{"/sys/fs/cgroup/" + ours, "/sys/fs/cgroup/*/" + ours, "/sys/fs/cgroup/*/*/" + ours,
		"/sys/fs/cgroup/*/*/*/" + ours, h.folder, "/var/lib/kubelet", "/var/lib/containerd", "/run/containerd", "/etc/cni",
		"/usr/libexec/kubernetes", "/opt/cni", "/var/log/pods", "/var/log/containers"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, matches...)
	}
	return append(found, append(processes(t, "cmdline", h.folder), processes(t, "cgroup", ours)...)...)
}

// processes lists those of which a file in /proc mentions a text, those aside that have ended and whose parent has not asked yet.
func processes(t *testing.T, file, text string) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		content, _ := os.ReadFile(name) // it may end meanwhile
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "status"))
		if strings.Contains(string(content), text) && !strings.Contains(string(status), "State:\tZ") {
			found = append(found, name+": "+strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	return found
}

// live is the cluster with what the test runs in it: on each node a pod whose program is CoreDNS, which answers at /health.
type live struct{ c *Cluster }

func (l *live) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	out, err := l.c.Kubectl(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (l *live) apply(t *testing.T, manifest string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := l.c.KubectlInput(ctx, []byte(manifest), "apply", "-f", "-")
	return err
}

const pods = `
apiVersion: v1
kind: ConfigMap
metadata: {name: answers}
data:
  Corefile: |
    . {
      health
    }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: answers}
spec:
  selector: {matchLabels: {app: answers}}
  template:
    metadata: {labels: {app: answers}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: answers
        image: %[1]s
        imagePullPolicy: Never
        command: [/programs/coredns, -conf, /config/Corefile]
        volumeMounts: [{name: config, mountPath: /config}, {name: programs, mountPath: /programs}]
        readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}
      volumes:
      - {name: config, configMap: {name: answers}}
      - {name: programs, hostPath: {path: %[2]q}}
---
apiVersion: v1
kind: Service
metadata: {name: answers}
spec:
  selector: {app: answers}
  ports: [{port: 80, targetPort: 8080}]
`

func (l *live) startPods(t *testing.T) {
	t.Helper()
	if err := l.apply(t, fmt.Sprintf(pods, pauseImage, l.c.programs)); err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, "rollout", "status", "daemonset/answers", "--timeout", limit.String())
}

// addr is the address of the pod on a node.
func (l *live) addr(t *testing.T, node string) string {
	t.Helper()
	return l.kubectl(t, "get", "pod", "-l", "app=answers", "--field-selector", "spec.nodeName="+node, "-o", "jsonpath={.items[0].status.podIP}")
}

// get asks a URL from within the pod of a node; in it kubectl is the HTTP client.
func (l *live) get(t *testing.T, node, server string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	pod := l.kubectl(t, "get", "pod", "-l", "app=answers", "--field-selector", "spec.nodeName="+node, "-o", "name")
	out, err := l.c.Kubectl(ctx, "exec", pod, "--", "/programs/kubectl", "get", "--raw", "/health", "--request-timeout=3s", "--server=http://"+server)
	if err == nil && string(out) != "OK" {
		return fmt.Errorf("%s answers %q", server, out)
	}
	return err
}

func (l *live) talk(t *testing.T) {
	for _, from := range l.c.Nodes() {
		for _, to := range l.c.Nodes() {
			if err := l.get(t, from, l.addr(t, to)+":8080"); err != nil {
				t.Errorf("from the pod on %s to the pod on %s: %v", from, to, err)
			}
		}
		for _, name := range []string{"answers", "answers.default.svc.cluster.local"} {
			if err := l.get(t, from, name); err != nil {
				t.Errorf("from the pod on %s to the Service: %v", from, err)
			}
		}
	}
	for _, name := range []string{"nowhere", "nowhere.example"} {
		if err := l.get(t, "node-a", name); err == nil || !strings.Contains(err.Error(), "no such host") {
			t.Errorf("asking for %s: %v, want that there is no such host", name, err)
		}
	}
	l.reach(t, l.addr(t, "node-a"), "8080")
	l.reach(t, l.kubectl(t, "get", "service", "answers", "-o", "jsonpath={.spec.clusterIP}"), "80")
}

// reach connects from the LAN.
func (l *live) reach(t *testing.T, host, port string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := l.c.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Errorf("from the LAN: %v", err)
		return
	}
	conn.Close()
}

const volumes = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: writes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: writes}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532}
  containers:
  - name: writes
    image: %[1]s
    imagePullPolicy: Never
    command: [/programs/kubectl, config, set-context, x, --kubeconfig=/data/file]
    volumeMounts: [{name: data, mountPath: /data}, {name: programs, mountPath: /programs}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: writes}}
  - {name: programs, hostPath: {path: %[2]q}}
`

func (l *live) volumes(t *testing.T) {
	manifest := fmt.Sprintf(volumes, pauseImage, l.c.programs)
	if err := l.apply(t, manifest); err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, "wait", "pod/writes", "--for=jsonpath={.status.phase}=Succeeded", "--timeout", limit.String())
	files := func() []string {
		matches, err := filepath.Glob(l.c.home.volumes("node-*") + "/*/file")
		if err != nil {
			t.Fatal(err)
		}
		return matches
	}
	if len(files()) != 1 {
		t.Errorf("the volumes have the files %q, want one", files())
	}
	l.kubectl(t, "delete", "pod/writes", "pvc/writes")
	l.kubectl(t, "wait", "pv", "--all", "--for=delete", "--timeout", limit.String())
	if len(files()) != 0 {
		t.Errorf("the volumes have the files %q, want none", files())
	}
}

func (l *live) restricted(t *testing.T) {
	l.kubectl(t, "create", "namespace", "strict")
	l.kubectl(t, "label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := l.c.Kubectl(ctx, "run", "loose", "-n", "strict", "--image", pauseImage)
	if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a pod that may do anything was not refused: %v", err)
	}
}

func (l *live) cut(t *testing.T) {
	there, here := l.addr(t, "node-b")+":8080", l.addr(t, "node-a")+":8080"
	if err := l.c.CutLink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.get(t, "node-a", there); err == nil {
		t.Error("the pods reach one another while the link between their nodes is cut")
	}
	if err := l.get(t, "node-a", here); err != nil {
		t.Errorf("a pod doesn't reach itself while the link is cut: %v", err)
	}
	if err := l.c.HealLink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.get(t, "node-a", there); err != nil {
		t.Errorf("after the link was healed: %v", err)
	}
}

func (l *live) kill(t *testing.T) {
	group := "folkmoot-" + l.c.Name() + "/node-b"
	if len(processes(t, "cgroup", group)) == 0 {
		t.Error("the node's processes are not in its control groups")
	}
	if err := l.c.KillNode(t.Context(), "node-b"); err != nil {
		t.Fatal(err)
	}
	if err := l.c.KillNode(t.Context(), "node-b"); err == nil {
		t.Error("a node without power was killed again")
	}
	// Every process of it is gone, not only the first one.
	if found := processes(t, "cgroup", group); len(found) > 0 {
		t.Errorf("on a killed node run %q", found)
	}
	if err := l.c.StartNode(t.Context(), "node-b"); err != nil {
		t.Fatal(err)
	}
	if err := l.c.StartNode(t.Context(), "node-b"); err == nil {
		t.Error("a node that runs was started again")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := await(ctx, "the pods", func(context.Context) error { return l.get(t, "node-a", l.addr(t, "node-b")+":8080") })
	if err != nil {
		t.Error(err)
	}
}
