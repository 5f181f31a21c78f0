//go:build kubernetes && linux

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/test/kubernetes/load"
)

const (
	faultPeers = 5
	// steady is how long the load is watched before a fault, and after it.
	steady = 3 * time.Second
	// deadFor is how long a node is dead, which is longer than Kubernetes takes to see it here; cutFor is how long the link is cut.
	deadFor = 20 * time.Second
	cutFor  = 30 * time.Second
	// drained is how long a node stays empty.
	drained = 5 * time.Second
	// verifyPatience bounds the reading of all that was written.
	verifyPatience = time.Minute
	// calmGap is the longest time without a success that may follow from what is announced; roughGap what may follow from a node or a link that is gone. They are far above what is measured.
	calmGap  = 5 * time.Second
	roughGap = 20 * time.Second
)

// A trial is a network under load to which one thing after the other happens.
type trial struct {
	*release
	loads   []*load.Load
	reports []faultReport
}

// A fault is something that happens to the network, in one or more phases of a load.
type fault struct {
	name  string
	phase string // the first
	do    func(*load.Load)
	gap   time.Duration // the longest time without a success that is right
}

// A faultReport is what a load lived through while one thing happened.
type faultReport struct {
	Fault string `json:"fault"`
	load.Report
}

// TestFaults does to one network what happens in the life of a cluster, under a steady load through the API's Service, and reads every record in the end.
func TestFaults(t *testing.T) {
	n := newNamespace(t, "faults")
	// Volumes here belong to a node, so that drained peers wait for it: both of one node must be allowed to.
	tr := &trial{release: install(n, "folkmoot", fmt.Sprintf("replicas=%d", faultPeers), "podDisruptionBudget.maxUnavailable=2")}
	tr.settle(faultPeers)
	for _, f := range []fault{
		{"delete a pod", "delete it", tr.deletePod, calmGap},
		{"scale", "5 to 7", tr.scale, calmGap},
		{"rolling upgrade", "upgrade", tr.rollingUpgrade, calmGap},
		{"drain a node", "drain it", tr.drain, calmGap},
		{"SIGKILL a node", "kill it", tr.killNode, roughGap},
		{"cut the link between the nodes", "cut it", tr.cut, roughGap},
	} {
		if !t.Run(f.name, func(t *testing.T) { tr.under(t, f) }) {
			break
		}
	}
	tr.t = t
	tr.verify(tr.loads...)
	tr.report()
}

// under does one thing to the network under load.
func (tr *trial) under(t *testing.T, f fault) {
	outer := tr.t
	tr.t = t
	defer func() { tr.t = outer }()
	l, err := load.Start(t.Context(), load.Config{Targets: tr.nodeURLs(), DialContext: shared.DialContext, Token: tr.token}, "before")
	check(t, err)
	defer l.Stop()
	t.Logf("seed %d", l.Seed())
	time.Sleep(steady)
	l.Phase(f.phase)
	f.do(l)
	l.Phase("whole again")
	time.Sleep(steady)
	l.Stop()
	tr.loads = append(tr.loads, l)
	tr.verify(l)

	report := l.Report()
	tr.reports = append(tr.reports, faultReport{f.name, report})
	t.Log("\n" + report.Markdown())
	for _, p := range report.Phases {
		if p.Gap > float64(f.gap.Milliseconds()) || p.Put.Failed+p.Get.Failed > 0 {
			t.Errorf("%s: operations that failed or a gap over %v: %+v", p.Name, f.gap, p)
		}
	}
}

// verify reads all that was written through every peer.
func (tr *trial) verify(loads ...*load.Load) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(tr.t.Context(), verifyPatience)
	defer cancel()
	for _, l := range loads {
		if err := l.Verify(ctx, tr.podURLs()); err != nil {
			tr.t.Errorf("seed %d: %v", l.Seed(), err)
		}
	}
}

// report shows all reports as one document, and leaves it in the folder MOOT_REPORTS if that is set.
func (tr *trial) report() {
	var text strings.Builder
	for _, r := range tr.reports {
		fmt.Fprintf(&text, "### %s\n\n%s\n", r.Fault, r.Markdown())
	}
	document, err := json.MarshalIndent(tr.reports, "", "  ")
	check(tr.t, err)
	tr.t.Logf("\n%s\n%s", text.String(), document)
	if dir := os.Getenv("MOOT_REPORTS"); dir != "" {
		check(tr.t, os.WriteFile(filepath.Join(dir, "kubernetes.md"), []byte(text.String()), 0o644))
		check(tr.t, os.WriteFile(filepath.Join(dir, "kubernetes.json"), document, 0o644))
	}
}

// settled waits until the network is whole and says how long that took.
func (tr *trial) settled(what string, began time.Time, peers int) {
	tr.t.Helper()
	tr.settle(peers)
	tr.t.Logf("%s: whole again %v after it began", what, time.Since(began).Round(100*time.Millisecond))
}

func (tr *trial) deletePod(*load.Load) {
	began, victim := time.Now(), fmt.Sprintf("pod/%s-2", tr.name)
	tr.kubectl("delete", victim)
	tr.kubectl("wait", "--for=create", victim, "--timeout=30s")
	tr.settled("delete", began, faultPeers)
}

func (tr *trial) scale(l *load.Load) {
	for i, step := range []struct {
		phase string
		peers int
	}{{"5 to 7", 7}, {"7 to 4", 4}, {"4 to 5", faultPeers}} {
		if i > 0 {
			l.Phase(step.phase)
		}
		began, before := time.Now(), tr.pods()
		tr.kubectl("scale", "statefulset/"+tr.name, fmt.Sprintf("--replicas=%d", step.peers))
		for i := step.peers; i < len(before); i++ {
			tr.kubectl("wait", "--for=delete", "pod/"+before[i].Name, "--timeout="+settlePatience.String())
		}
		tr.settled(step.phase, began, step.peers)
	}
}

func (tr *trial) rollingUpgrade(*load.Load) {
	began := time.Now()
	tr.upgrade(fmt.Sprintf("replicas=%d", faultPeers), "image.tag="+nextTag)
	tr.kubectl("rollout", "status", "statefulset/"+tr.name, "--timeout=5m")
	tr.settled("upgrade", began, faultPeers)
	images := tr.kubectl("get", "pods", "-l", "app.kubernetes.io/component=peer", "-o", "jsonpath={.items[*].spec.containers[0].image}")
	if strings.Count(images, repository+":"+nextTag) != faultPeers {
		tr.t.Errorf("the peers run %s", images)
	}
}

// lesserNode returns the node with the fewest peers: without it there is still a quorum.
func (tr *trial) lesserNode() string {
	peers := map[string]int{}
	for _, p := range tr.pods() {
		peers[p.Node]++
	}
	nodes := shared.Nodes()
	node := slices.MinFunc(nodes, func(a, b string) int { return cmp.Compare(peers[a], peers[b]) })
	if 2*peers[node] >= faultPeers || peers[node] == 0 {
		tr.t.Fatalf("peers by node: %v", peers)
	}
	tr.t.Logf("peers by node: %v; it is about %s", peers, node)
	return node
}

func (tr *trial) drain(l *load.Load) {
	node, began := tr.lesserNode(), time.Now()
	tr.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
	tr.t.Cleanup(func() { tr.tryKubectl("uncordon", node) }) // for those that come after a failure
	tr.t.Logf("drained after %v", time.Since(began).Round(100*time.Millisecond))
	time.Sleep(drained)
	l.Phase("uncordon it")
	began = time.Now()
	tr.kubectl("uncordon", node)
	tr.settled("uncordon", began, faultPeers)
}

func (tr *trial) killNode(l *load.Load) {
	node, began := tr.lesserNode(), time.Now()
	check(tr.t, shared.KillNode(tr.t.Context(), node))
	tr.kubectl("wait", "node/"+node, "--for=condition=Ready=Unknown", "--timeout="+settlePatience.String())
	tr.t.Logf("not ready after %v", time.Since(began).Round(100*time.Millisecond))
	time.Sleep(time.Until(began.Add(deadFor)))
	l.Phase("start it again")
	began = time.Now()
	check(tr.t, shared.StartNode(tr.t.Context(), node))
	tr.kubectl("wait", "node/"+node, "--for=condition=Ready=True", "--timeout="+settlePatience.String())
	tr.t.Logf("ready after %v", time.Since(began).Round(100*time.Millisecond))
	tr.settled("node", began, faultPeers)
}

func (tr *trial) cut(l *load.Load) {
	check(tr.t, shared.CutLink(tr.t.Context()))
	time.Sleep(cutFor)
	l.Phase("heal it")
	began := time.Now()
	check(tr.t, shared.HealLink(tr.t.Context()))
	tr.settled("heal", began, faultPeers)
}
