//go:build kubernetes && linux

package chart

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// validatorsName is what the validators' objects are called.
const validatorsName = fullName + "-validator"

func TestValidators(t *testing.T) {
	m := render(t, "validators: 4")
	set, peers := m.get(t, "StatefulSet", validatorsName), m.peers(t)
	container, spread := moot(set), at(podSpec(set), "topologySpreadConstraints", 0, "labelSelector", "matchLabels")
	apart := at(podSpec(set), "affinity", "podAntiAffinity", "preferredDuringSchedulingIgnoredDuringExecution", 0, "podAffinityTerm")
	for _, tt := range []struct {
		in   any
		path []any
		want any
	}{
		{set, []any{"spec", "replicas"}, 4},
		{peers, []any{"spec", "replicas"}, 5},
		{set, []any{"spec", "serviceName"}, fullName + "-peers"},
		{set, []any{"spec", "podManagementPolicy"}, "Parallel"},
		{set, []any{"spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"}, "10Gi"},
		{podSpec(set), []any{"serviceAccountName"}, validatorsName},
		{podSpec(peers), []any{"serviceAccountName"}, fullName},
		{podSpec(set), []any{"automountServiceAccountToken"}, true},
		{podSpec(set), []any{"terminationGracePeriodSeconds"}, 330},
		{container, []any{"readinessProbe", "httpGet", "path"}, "/readyz/records"},
		{container, []any{"lifecycle", "preStop", "exec", "command", 2}, "--if-scaled-away"},
		{spread, []any{"app.kubernetes.io/component"}, "validator"},
		{apart, []any{"topologyKey"}, "kubernetes.io/hostname"},
		{apart, []any{"labelSelector", "matchLabels", "app.kubernetes.io/component"}, "validator"},
		{m.get(t, "PodDisruptionBudget", validatorsName), []any{"spec", "maxUnavailable"}, 1},
		{m.get(t, "RoleBinding", validatorsName), []any{"subjects", 0, "name"}, validatorsName},
		{m.get(t, "ServiceAccount", validatorsName), []any{"automountServiceAccountToken"}, false},
	} {
		if got := at(tt.in, tt.path...); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.path, got, tt.want)
		}
	}
	// Only the validators have the secret and may make a genesis; everybody enters the network that it is of, and nobody an open one.
	for _, o := range []object{set, peers, render(t, "{validators: 4, extra: {replicas: 1}}").get(t, "Deployment", fullName+"-extra")} {
		isValidator := at(o, "metadata", "name") == validatorsName
		name := fmt.Sprint(at(o, "metadata", "name"))
		init := texts(podSpec(o), "initContainers", 0, "args")
		if want := []string{"init", "--network=town.demo", "--genesis-configmap=town-folkmoot-genesis"}; !slices.Equal(init[:3], want) || slices.Contains(init, "--validator") != isValidator {
			t.Errorf("%s begins with %q", name, init)
		}
		args := texts(moot(o), "args")
		if slices.Contains(args, "--open") || slices.Contains(args, "--seat-of-pod") != isValidator {
			t.Errorf("%s runs with %q", name, args)
		}
		if has := named(list(podSpec(o), "volumes"), "validators") != nil; has != isValidator {
			t.Errorf("%s has the validators' secret: %t", name, has)
		}
	}
}

func TestTheBudgetOfValidatorsIsOne(t *testing.T) {
	m := render(t, "{validators: 7, podDisruptionBudget: {maxUnavailable: 3}}")
	if got := at(m.get(t, "PodDisruptionBudget", validatorsName), "spec", "maxUnavailable"); got != 1 {
		t.Errorf("%v validators may be away at once", got)
	}
	if got := at(m.get(t, "PodDisruptionBudget", fullName), "spec", "maxUnavailable"); got != 3 {
		t.Errorf("%v peers may be away at once", got)
	}
}

func TestTheValidatorsSecret(t *testing.T) {
	m := render(t, "validators: 4")
	secret, err := base64.StdEncoding.DecodeString(fmt.Sprint(at(m.get(t, "Secret", validatorsName), "data", "secret")))
	if err != nil || len(secret) < 32 {
		t.Errorf("secret %q: %v", secret, err)
	}
	if token := at(m.get(t, "Secret", fullName+"-api"), "data", "token"); token == base64.StdEncoding.EncodeToString(secret) {
		t.Error("who may call the API may be a validator")
	}
	other := render(t, valueSets["validators alone"])
	if other.find("Secret", validatorsName) != nil {
		t.Error("a secret is made although there is one")
	}
	volume := named(list(podSpec(other.get(t, "StatefulSet", validatorsName)), "volumes"), "validators")
	if at(volume, "secret", "secretName") != "ours" || at(volume, "secret", "items", 0, "key") != "the.secret" || at(volume, "secret", "items", 0, "path") != "secret" {
		t.Errorf("the secret is taken from %v", volume)
	}
}

// How many validators there are is not told to the pods: to change it restarts nobody.
func TestMoreValidatorsRestartNobody(t *testing.T) {
	template := func(values string) string {
		return fmt.Sprint(at(render(t, values).get(t, "StatefulSet", validatorsName), "spec", "template"))
	}
	if four, seven := template("validators: 4"), template("validators: 7"); four != seven {
		t.Errorf("four validators run as\n%s\nand seven as\n%s", four, seven)
	}
}

func TestHelmTestAsksTheLedger(t *testing.T) {
	steps := list(podSpec(render(t, "{validators: 4, replicas: 0}").get(t, "Pod", fullName+"-test")), "initContainers")
	anchor := strings.Join(texts(named(steps, "anchor"), "args"), " ")
	if !strings.Contains(anchor, "ledger anchor /scratch/value --by=tester") {
		t.Errorf("the ledger is tested by %q", anchor)
	}
	for i := range 4 {
		args := strings.Join(texts(named(steps, fmt.Sprintf("validator-%d", i)), "args"), " ")
		if !strings.Contains(args, fmt.Sprintf("http://%s-%d.town-folkmoot-peers.demo.svc:7070", validatorsName, i)) || !strings.HasSuffix(args, " ledger") {
			t.Errorf("validator %d is asked by %q", i, args)
		}
	}
}
