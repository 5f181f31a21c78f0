//go:build kubernetes && linux

package chart

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/test/chart/schema"
)

func TestLint(t *testing.T) {
	for name, values := range valueSets {
		out, complaints, err := runHelm(t, values, "lint", "--strict", "--kube-version", newestKubernetes, chartFolder)
		if err != nil {
			t.Errorf("%s: %v\n%s%s", name, err, out, complaints)
		}
	}
}

func TestEveryReleaseOfKubernetesTakesEveryManifest(t *testing.T) {
	for _, release := range schema.Releases() {
		spec, err := schema.Load(release)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := render(t, "", "--kube-version", release), render(t, ""); len(a) != len(b) {
			t.Errorf("%d objects for Kubernetes %s, and %d for %s", len(a), release, len(b), newestKubernetes)
		}
		for name, values := range valueSets {
			for _, o := range render(t, values) {
				for _, problem := range spec.Validate(o) {
					t.Errorf("Kubernetes %s, %s: %s: %s", release, name, schema.Name(o), problem)
				}
			}
		}
	}
}

// everyRendering calls test with each set of values.
func everyRendering(t *testing.T, test func(t *testing.T, m manifest)) {
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) { test(t, render(t, values)) })
	}
}

var (
	dnsLabel   = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$`)
)

func TestNamesAndLabels(t *testing.T) {
	everyRendering(t, func(t *testing.T, m manifest) {
		seen := make(map[string]bool)
		for _, o := range m {
			name := schema.Name(o)
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
			if !dnsLabel.MatchString(fmt.Sprint(at(o, "metadata", "name"))) {
				t.Errorf("%s: no object may be called so", name)
			}
			checkLabels(t, name, at(o, "metadata", "labels"))
			if podSpec(o) != nil {
				checkLabels(t, name+"'s pods", podLabels(o))
			}
			if set := at(o, "metadata", "name"); o["kind"] == "StatefulSet" && len(set.(string)) > 52 {
				t.Errorf("%s: with a revision's hash behind it, its name is no label's value", name)
			}
		}
	})
}

func checkLabels(t *testing.T, name string, labels any) {
	t.Helper()
	all, _ := labels.(map[string]any)
	for _, label := range []string{"name", "instance", "component", "version", "managed-by"} {
		if all["app.kubernetes.io/"+label] == nil {
			t.Errorf("%s has no label app.kubernetes.io/%s", name, label)
		}
	}
	for label, value := range all {
		if text, ok := value.(string); !ok || !labelValue.MatchString(text) {
			t.Errorf("%s: label %s can't be %q", name, label, value)
		}
	}
}

// namespaced are the kinds that the chart may make: nothing of the whole cluster.
var namespaced = []string{
	"ConfigMap", "Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
}

func TestNothingOfTheWholeCluster(t *testing.T) {
	everyRendering(t, func(t *testing.T, m manifest) {
		for _, o := range m {
			if !slices.Contains(namespaced, o["kind"].(string)) {
				t.Errorf("%s", schema.Name(o))
			}
			if o["kind"] == "Role" && !slices.Contains(allowedRules(m, o), fmt.Sprint(o["rules"])) {
				t.Errorf("%s allows %v", schema.Name(o), o["rules"])
			}
		}
	})
}

// allowedRules returns what a role may allow: to get one StatefulSet; where there is a ledger, also its genesis; and only the validators may make that.
func allowedRules(m manifest, role object) []string {
	name := at(role, "metadata", "name")
	own := fmt.Sprintf("map[apiGroups:[apps] resourceNames:[%v] resources:[statefulsets] verbs:[get]]", name)
	peers := ""
	for _, o := range m {
		if o["kind"] == "StatefulSet" && at(podLabels(o), "app.kubernetes.io/component") == "peer" {
			peers = fmt.Sprint(at(o, "metadata", "name"))
		}
	}
	genesis := fmt.Sprintf("map[apiGroups:[] resourceNames:[%s-genesis] resources:[configmaps] verbs:[get]]", peers)
	switch {
	case !hasLedger(m):
		return []string{"[" + own + "]"}
	case name == peers:
		return []string{"[" + own + " " + genesis + "]"}
	}
	return []string{"[" + own + " " + genesis + " map[apiGroups:[] resources:[configmaps] verbs:[create]]]"}
}

// hasLedger tells whether a manifest is of a network with validators.
func hasLedger(m manifest) bool {
	return slices.ContainsFunc(m, func(o object) bool {
		return o["kind"] == "StatefulSet" && at(podLabels(o), "app.kubernetes.io/component") == "validator"
	})
}

// What Pod Security "restricted" asks for: https://kubernetes.io/docs/concepts/security/pod-security-standards/.
func TestPodsAreRestricted(t *testing.T) {
	volumes := []string{"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
	everyRendering(t, func(t *testing.T, m manifest) {
		for _, o := range m {
			spec := podSpec(o)
			if spec == nil {
				continue
			}
			name := schema.Name(o)
			if at(spec, "securityContext", "runAsNonRoot") != true || at(spec, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
				t.Errorf("%s: security context of pods %v", name, at(spec, "securityContext"))
			}
			for _, v := range list(spec, "volumes") {
				for kind := range v.(map[string]any) {
					if kind != "name" && !slices.Contains(volumes, kind) {
						t.Errorf("%s has a volume of kind %s", name, kind)
					}
				}
			}
			for _, c := range slices.Concat(list(spec, "initContainers"), list(spec, "containers")) {
				s := at(c, "securityContext")
				if at(s, "allowPrivilegeEscalation") != false || at(s, "readOnlyRootFilesystem") != true || !slices.Equal(texts(s, "capabilities", "drop"), []string{"ALL"}) {
					t.Errorf("%s: security context of container %v: %v", name, at(c, "name"), s)
				}
			}
		}
	})
}

func TestHostNetworkOnlyWhenAskedFor(t *testing.T) {
	for name, values := range valueSets {
		for _, o := range render(t, values) {
			if spec := podSpec(o); spec != nil && o["kind"] != "Pod" && (at(spec, "hostNetwork") == true) != strings.HasPrefix(name, "host network") {
				t.Errorf("%s: %s: hostNetwork %v", name, schema.Name(o), at(spec, "hostNetwork"))
			}
		}
	}
}

// selects tells whether a selector of labels chooses labels.
func selects(selector, labels any) bool {
	wanted, _ := selector.(map[string]any)
	has, _ := labels.(map[string]any)
	for name, value := range wanted {
		if has[name] != value {
			return false
		}
	}
	return len(wanted) > 0
}

// selectors returns the selectors of pods in a manifest, by the object that has them.
func selectors(m manifest) map[string]any {
	found := make(map[string]any)
	for _, o := range m {
		var selector any
		switch o["kind"] {
		case "Service":
			selector = at(o, "spec", "selector")
		case "StatefulSet", "Deployment", "PodDisruptionBudget":
			selector = at(o, "spec", "selector", "matchLabels")
		case "NetworkPolicy":
			selector = at(o, "spec", "podSelector", "matchLabels")
		default:
			continue
		}
		found[schema.Name(o)] = selector
	}
	return found
}

func TestSelectorsChooseThePeersAndNotTheTest(t *testing.T) {
	everyRendering(t, func(t *testing.T, m manifest) {
		for _, o := range m {
			labels, _ := podLabels(o).(map[string]any)
			if podSpec(o) == nil || labels == nil {
				continue
			}
			labels = maps.Clone(labels)
			labels["statefulset.kubernetes.io/pod-name"] = fmt.Sprintf("%v-0", at(o, "metadata", "name")) // as the controller does
			for owner, selector := range selectors(m) {
				want := o["kind"] != "Pod"
				switch {
				case strings.HasPrefix(owner, "Service") && strings.Contains(owner, "-outside-"):
					want = o["kind"] == "StatefulSet" && strings.HasSuffix(owner, "-0") && at(labels, "app.kubernetes.io/component") == "peer"
				case strings.HasPrefix(owner, "StatefulSet"), strings.HasPrefix(owner, "Deployment"), strings.HasPrefix(owner, "PodDisruptionBudget"):
					_, ownerName, _ := strings.Cut(owner, " ")
					want = ownerName == at(o, "metadata", "name")
				}
				if got := selects(selector, labels); got != want {
					t.Errorf("%s chooses the pods of %s: %t, want %t", owner, schema.Name(o), got, want)
				}
			}
		}
	})
}

func TestTwoReleasesNeverMix(t *testing.T) {
	const everything = "{extra: {replicas: 1}, networkPolicy: {enabled: true}, outside: {type: NodePort}}"
	type network struct{ release, namespace string }
	networks := []network{
		{"town", "demo"}, {"town-2", "demo"}, {"tow", "demo"}, {"folkmoot", "demo"}, {"a.b", "c"}, {"a-b", "c"},
		{strings.Repeat("long", 13), "demo"}, {strings.Repeat("long", 13) + "1", "demo"}, {strings.Repeat("long", 13), strings.Repeat("space", 12)},
	}
	rendered := make(map[network]manifest)
	joined := make(map[string]network)
	for _, n := range networks {
		m := renderAs(t, n.release, n.namespace, everything)
		rendered[n] = m
		for _, o := range m {
			args := texts(moot(o), "args")
			if o["kind"] != "StatefulSet" && o["kind"] != "Deployment" {
				continue
			}
			name := args[slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--network=") })]
			if other, taken := joined[name]; taken && other != n {
				t.Errorf("%v and %v are in one network: %s", n, other, name)
			}
			joined[name] = n
		}
	}
	for _, a := range networks {
		for _, b := range networks {
			if a == b || a.namespace != b.namespace {
				continue
			}
			for _, o := range rendered[a] {
				if rendered[b].find(o["kind"].(string), fmt.Sprint(at(o, "metadata", "name"))) != nil {
					t.Errorf("%v and %v both have %s", a, b, schema.Name(o))
				}
				for owner, selector := range selectors(rendered[b]) {
					if selects(selector, podLabels(o)) {
						t.Errorf("%s of %v chooses the pods of %s of %v", owner, b, schema.Name(o), a)
					}
				}
			}
		}
	}
}
