//go:build kubernetes && linux

package chart

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPeersByDefault(t *testing.T) {
	m := render(t, "")
	peers := m.peers(t)
	container := moot(peers)
	for _, tt := range []struct {
		in   any
		path []any
		want any
	}{
		{peers, []any{"spec", "replicas"}, 5},
		{peers, []any{"spec", "serviceName"}, fullName + "-peers"},
		{peers, []any{"spec", "podManagementPolicy"}, "Parallel"},
		{peers, []any{"spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"}, "Retain"},
		{peers, []any{"spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"}, "Retain"},
		{peers, []any{"spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"}, "10Gi"},
		{podSpec(peers), []any{"automountServiceAccountToken"}, true},
		{podSpec(peers), []any{"terminationGracePeriodSeconds"}, 330},
		{podSpec(peers), []any{"topologySpreadConstraints", 0, "labelSelector", "matchLabels", "app.kubernetes.io/instance"}, releaseName},
		{container, []any{"startupProbe", "httpGet", "path"}, "/livez"},
		{container, []any{"livenessProbe", "httpGet", "path"}, "/livez"},
		{container, []any{"readinessProbe", "httpGet", "path"}, "/readyz/records"},
		{container, []any{"volumeMounts", 0, "mountPath"}, "/var/lib/moot"},
		{m.get(t, "Service", fullName+"-peers"), []any{"spec", "publishNotReadyAddresses"}, true},
		{m.get(t, "Service", fullName+"-peers"), []any{"spec", "clusterIP"}, "None"},
		{m.get(t, "Service", fullName), []any{"spec", "type"}, "ClusterIP"},
		{m.get(t, "PodDisruptionBudget", fullName), []any{"spec", "maxUnavailable"}, 1},
		{m.get(t, "ServiceAccount", fullName), []any{"automountServiceAccountToken"}, false},
		{m.get(t, "RoleBinding", fullName), []any{"subjects", 0, "name"}, fullName},
	} {
		if got := at(tt.in, tt.path...); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.path, got, tt.want)
		}
	}
	wantArgs := []string{
		"run", "--network=town.demo", "--open", "--rejoin", "--dns=town-folkmoot-peers:4242", "--mdns=false", "--zone=$(NODE_NAME)",
		"--copies=5", "--quota=8192MiB", "--api-listen=:7070", "--api-insecure", "--log-level=info", "--log-format=json",
	}
	if got := texts(container, "args"); !slices.Equal(got, wantArgs) {
		t.Errorf("arguments\n%q, want\n%q", got, wantArgs)
	}
	wantStop := []string{"/moot", "leave", "--if-scaled-away", "--drain-timeout=300s"}
	if got := texts(container, "lifecycle", "preStop", "exec", "command"); !slices.Equal(got, wantStop) {
		t.Errorf("before it stops: %q, want %q", got, wantStop)
	}
	for _, kind := range []string{"Deployment", "NetworkPolicy", "ServiceMonitor", "ConfigMap"} {
		for _, o := range m {
			if o["kind"] == kind {
				t.Errorf("a %s that nobody asked for", kind)
			}
		}
	}
}

// What is not told by a value that is passed on as it is.
func TestWhatValuesDo(t *testing.T) {
	const extra = fullName + "-extra"
	for _, tt := range []struct {
		values, kind, name string
		path               []any
		want               any
	}{
		{"persistence: {size: 5Gi}", "StatefulSet", fullName, []any{"args", "--quota="}, "4096MiB"},
		{"persistence: {size: 2Ti}", "StatefulSet", fullName, []any{"args", "--quota="}, "1677721MiB"},
		{"{persistence: {size: 2Ti}, quota: 1GB}", "StatefulSet", fullName, []any{"args", "--quota="}, "1GB"},
		{"p2p: {port: 4343}", "StatefulSet", fullName, []any{"args", "--dns="}, "town-folkmoot-peers:4343"},
		{"p2p: {port: 4343}", "StatefulSet", fullName, []any{"args", "--listen="}, "/ip4/0.0.0.0/tcp/4343,/ip4/0.0.0.0/udp/4343/quic-v1"},
		{"network: Town_1", "StatefulSet", fullName, []any{"args", "--network="}, "Town_1"},
		{"drainTimeoutSeconds: 60", "StatefulSet", fullName, []any{"spec", "template", "spec", "terminationGracePeriodSeconds"}, 90},
		{"probes: {startupSeconds: 600}", "StatefulSet", fullName, []any{"moot", "startupProbe", "failureThreshold"}, 300},
		{"probes: {livenessSeconds: 120}", "StatefulSet", fullName, []any{"moot", "livenessProbe", "failureThreshold"}, 12},
		{"hostNetwork: true", "StatefulSet", fullName, []any{"spec", "template", "spec", "dnsPolicy"}, "ClusterFirstWithHostNet"},
		{"rbac: {create: false}", "StatefulSet", fullName, []any{"spec", "template", "spec", "automountServiceAccountToken"}, false},
		{"serviceAccount: {create: false}", "StatefulSet", fullName, []any{"spec", "template", "spec", "serviceAccountName"}, "default"},
		{"serviceAccount: {create: false}", "RoleBinding", fullName, []any{"subjects", 0, "name"}, "default"},
		{"image: {tag: v1.2.3}", "StatefulSet", fullName, []any{"moot", "image"}, "localhost/folkmoot/moot:v1.2.3"},
		{"image: {tag: v1.2.3}", "StatefulSet", fullName, []any{"metadata", "labels", "app.kubernetes.io/version"}, "v1.2.3"},
		{"image: {tag: a, digest: 'sha256:" + strings.Repeat("0", 64) + "'}", "StatefulSet", fullName, []any{"moot", "image"}, "localhost/folkmoot/moot@sha256:" + strings.Repeat("0", 64)},
		{"api: {tls: {existingSecret: s}}", "Service", fullName, []any{"spec", "ports", 0, "appProtocol"}, "https"},
		{"api: {tls: {existingSecret: s}}", "StatefulSet", fullName, []any{"moot", "readinessProbe", "httpGet", "scheme"}, "HTTPS"},
		{"api: {tls: {existingSecret: s}}", "StatefulSet", fullName, []any{"args", "--api-tls-cert="}, "/etc/moot/tls/tls.crt"},
		{"extra: {replicas: 2}", "Deployment", extra, []any{"spec", "replicas"}, 2},
		{"extra: {replicas: 2}", "Deployment", extra, []any{"args", "--quota="}, "1638MiB"},
		{"extra: {replicas: 2}", "Deployment", extra, []any{"spec", "template", "spec", "automountServiceAccountToken"}, false},
		{"extra: {replicas: 2}", "Deployment", extra, []any{"moot", "lifecycle", "preStop", "exec", "command", 2}, "--drain-timeout=120s"},
		{"extra: {replicas: 2, drainTimeoutSeconds: 60}", "Deployment", extra, []any{"spec", "template", "spec", "terminationGracePeriodSeconds"}, 90},
		{"extra: {replicas: 2}", "Deployment", extra, []any{"moot", "resources", "limits", "memory"}, "1Gi"},
		{"extra: {replicas: 2, resources: {limits: {memory: 1Mi}}}", "Deployment", extra, []any{"moot", "resources", "limits", "memory"}, "1Mi"},
		{"{extra: {replicas: 2}, hostNetwork: true}", "Deployment", extra, []any{"spec", "strategy", "rollingUpdate", "maxSurge"}, 0},
		{"extra: {replicas: 2}", "Deployment", extra, []any{"spec", "template", "spec", "volumes", 0, "emptyDir", "sizeLimit"}, "2Gi"},
		{"{serviceMonitor: {enabled: true}}", "ServiceMonitor", fullName, []any{"spec", "endpoints", 0, "authorization", "credentials", "name"}, fullName + "-api"},
		{"{serviceMonitor: {enabled: true}, api: {tls: {existingSecret: s}}}", "ServiceMonitor", fullName, []any{"spec", "endpoints", 0, "tlsConfig", "serverName"}, "self.town-folkmoot-peers.demo.svc"},
		{"", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/scrape"}, nil},
		{"{scrapeAnnotations: true, api: {port: 7171}}", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/scrape"}, "true"},
		{"{scrapeAnnotations: true, api: {port: 7171}}", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/port"}, "7171"},
		{"{scrapeAnnotations: true, api: {port: 7171}}", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/path"}, "/metrics"},
		{"{scrapeAnnotations: true, api: {port: 7171}}", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/scheme"}, "http"},
		{"{scrapeAnnotations: true, api: {tls: {existingSecret: s}}}", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/scheme"}, "https"},
		{"{scrapeAnnotations: true, podAnnotations: {prometheus.io/path: /federate}}", "StatefulSet", fullName, []any{"spec", "template", "metadata", "annotations", "prometheus.io/path"}, "/federate"},
		{"{scrapeAnnotations: true, extra: {replicas: 2}}", "Deployment", extra, []any{"spec", "template", "metadata", "annotations", "prometheus.io/scrape"}, "true"},
		{"{networkPolicy: {enabled: true}, outside: {type: NodePort}}", "NetworkPolicy", fullName, []any{"spec", "ingress", 0, "from", 1, "ipBlock", "cidr"}, "0.0.0.0/0"},
		{"{networkPolicy: {enabled: true}}", "NetworkPolicy", fullName, []any{"spec", "ingress", 0, "from", 1}, nil},
		{"{networkPolicy: {enabled: true}}", "NetworkPolicy", fullName, []any{"spec", "egress"}, nil},
		{"{networkPolicy: {enabled: true, apiFrom: []}}", "NetworkPolicy", fullName, []any{"spec", "ingress", 1}, nil},
	} {
		o := render(t, tt.values).get(t, tt.kind, tt.name)
		if got := look(o, tt.path...); got != tt.want {
			t.Errorf("%s: %s %s %v: got %v, want %v", tt.values, tt.kind, tt.name, tt.path, got, tt.want)
		}
	}
}

// look is at, but for paths that begin with "moot", which is the peer's container, or with "args", followed by how an argument of it begins.
func look(o object, path ...any) any {
	switch path[0] {
	case "moot":
		return at(moot(o), path[1:]...)
	case "args":
		for _, arg := range texts(moot(o), "args") {
			if value, ok := strings.CutPrefix(arg, path[1].(string)); ok {
				return value
			}
		}
		return nil
	}
	return at(o, path...)
}

func TestTheToken(t *testing.T) {
	secret := render(t, "").get(t, "Secret", fullName+"-api")
	token, err := base64.StdEncoding.DecodeString(fmt.Sprint(at(secret, "data", "token")))
	if err != nil || len(token) < 32 {
		t.Errorf("token %q: %v", token, err)
	}
	for _, m := range []manifest{render(t, ""), render(t, valueSets["secrets"])} {
		name, key := fullName+"-api", "token"
		if m.find("Secret", name) == nil {
			name, key = "mine", "the.token"
		}
		for _, o := range m {
			for _, c := range slices.Concat(list(podSpec(o), "initContainers"), list(podSpec(o), "containers")) {
				if at(c, "name") == "genesis" { // asks no node
					continue
				}
				ref := at(named(list(c, "env"), "MOOT_TOKEN"), "valueFrom", "secretKeyRef")
				if at(ref, "name") != name || at(ref, "key") != key {
					t.Errorf("%v of %v takes its token from %v", at(c, "name"), at(o, "metadata", "name"), ref)
				}
			}
		}
	}
}

// What no upgrade may change: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/.
func TestUpgradesChangeNothingThatMustStay(t *testing.T) {
	before := render(t, "").peers(t)
	after := render(t, "{commonLabels: {a: b}, podLabels: {c: d}, image: {tag: other}, podAnnotations: {e: f}, extra: {replicas: 1}}").peers(t)
	for _, path := range [][]any{{"spec", "selector"}, {"spec", "volumeClaimTemplates"}, {"spec", "serviceName"}, {"spec", "podManagementPolicy"}} {
		if a, b := fmt.Sprint(at(before, path...)), fmt.Sprint(at(after, path...)); a != b {
			t.Errorf("%v: %s, then %s", path, a, b)
		}
	}
	// "helm upgrade --reuse-values" brings the values of the chart that was installed, with nothing of what is new: that is as if it was left at its default.
	if old := render(t, "{validators: null, validator: null}"); fmt.Sprint(old.peers(t)) != fmt.Sprint(before) || len(old) != len(render(t, "")) {
		t.Error("values of an older chart make something else")
	}
	if labels := podLabels(before).(map[string]any); labels["helm.sh/chart"] != nil {
		t.Error("a new version of the chart alone restarts every peer")
	}
}
