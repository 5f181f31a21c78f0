//go:build kubernetes && linux

package chart

import (
	"strings"
	"testing"
)

func TestWrongValuesAreRefused(t *testing.T) {
	for _, tt := range []struct{ values, want string }{
		{"replica: 3", "at '': additional properties 'replica' not allowed"},
		{"replicas: three", "at '/replicas': got string, want integer"},
		{"replicas: -1", "at '/replicas': minimum: got -1, want 0"},
		{"replicas: 0", "replicas: there are to be no peers and no validators; want at least one of either"},
		{"validators: 257", "at '/validators': maximum: got 257, want 256"},
		{"validators: four", "at '/validators': got string, want integer"},
		{"members: {only: maybe}", "at '/members/only': got string, want boolean"},
		{"join: {line: l}", "at '/join': additional properties 'line' not allowed"},
		{"{join: {existingSecret: invite}, validators: 4}", "join.existingSecret: peers that join another network have no validators of their own here; set validators to 0"},
		{"{join: {existingSecret: invite}, network: town}", "join.existingSecret: the invite says which network it is to; leave network empty"},
		{"validator: {secret: s}", "at '/validator': additional properties 'secret' not allowed"},
		{"replicas: null", "at '': missing property 'replicas'"},
		{"copies: 33", "at '/copies': maximum: got 33, want 32"},
		{"image: {tag: 1.10}", "at '/image/tag': got number, want string"},
		{"image: {pullPolicy: never}", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"},
		{"image: {repo: a}", "at '/image': additional properties 'repo' not allowed"},
		{"network: -a", "at '/network': '-a' does not match pattern"},
		{"fullnameOverride: A.b", "at '/fullnameOverride': 'A.b' does not match pattern"},
		{"persistence: {size: 10}", "at '/persistence/size': got number, want string"},
		{"persistence: {size: 10GB}", "at '/persistence/size': '10GB' does not match pattern '^[1-9][0-9]*(Mi|Gi|Ti)$'"},
		{"persistence: {retain: {whenScaled: Keep}}", "at '/persistence/retain/whenScaled': value must be one of 'Retain', 'Delete'"},
		{"persistence: {accessModes: []}", "at '/persistence/accessModes': minItems: got 0, want 1"},
		{"quota: lots", "at '/quota': 'lots' does not match pattern"},
		{"api: {port: 70700}", "at '/api/port': maximum: got 70,700, want 65,535"},
		{"api: {token: secret}", "at '/api': additional properties 'token' not allowed"},
		{"api: {service: {type: Ingress}}", "at '/api/service/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"},
		{"api: {service: {loadBalancerSourceRanges: [everywhere]}}", "at '/api/service/loadBalancerSourceRanges/0': 'everywhere' does not match pattern"},
		{"ipFamilies: [IPv5]", "at '/ipFamilies/0': value must be one of 'IPv4', 'IPv6'"},
		{"ipFamilyPolicy: DualStack", "at '/ipFamilyPolicy': value must be one of '', 'SingleStack', 'PreferDualStack', 'RequireDualStack'"},
		{"outside: {type: Ingress}", "at '/outside/type': value must be one of 'None', 'NodePort', 'LoadBalancer'"},
		{"outside: {protocols: []}", "at '/outside/protocols': minItems: got 0, want 1"},
		{"p2p: {relay: always}", "at '/p2p/relay': value must be one of 'auto', true, false, 'true', 'false'"},
		{"hostNetwork: 'yes'", "at '/hostNetwork': got string, want boolean"},
		{"podDisruptionBudget: {maxUnavailable: some}", "at '/podDisruptionBudget/maxUnavailable': got string, want integer"},
		{"podAnnotations: {a: 1}", "at '/podAnnotations/a': got number, want string"},
		{"extraArgs: [--zone, a]", "at '/extraArgs/1': 'a' does not match pattern '^--'"},
		{"discovery: {bootstrap: [192.0.2.1]}", "at '/discovery/bootstrap/0': '192.0.2.1' does not match pattern '^/'"},
		{"serviceMonitor: {interval: 30}", "at '/serviceMonitor/interval': got number, want string"},
		{"topologySpreadConstraints: [{maxSkew: 1}]", "at '/topologySpreadConstraints/0': missing properties 'topologyKey', 'whenUnsatisfiable'"},
		{"drainTimeoutSeconds: 5m", "at '/drainTimeoutSeconds': got string, want integer"},

		{"podLabels: {app.kubernetes.io/name: a}", "podLabels: the label app.kubernetes.io/name is the chart's own; choose another"},
		{"{api: {port: 4242}}", "api.port: 4242 is the port between peers as well (p2p.port); choose another"},
		{"{hostNetwork: true, outside: {type: NodePort}}", "outside.type: with hostNetwork the peers are at their nodes' addresses"},
		{"outside: {type: LoadBalancer}", "outside.hosts: with outside.type LoadBalancer give the address or name of each peer's load balancer, in order"},
		{"outside: {type: NodePort, hosts: [a, b]}", "outside.hosts: got 2 for 5 peers; give the address or name of each, in order"},
		{"outside: {type: NodePort, nodePortBase: 65533}", "outside.nodePortBase: from 65533 on, 5 peers reach port 65537; begin lower"},
	} {
		_, complaint, err := runHelm(t, tt.values, "template", releaseName, chartFolder, "--kube-version", newestKubernetes)
		if err == nil || !strings.Contains(complaint, tt.want) {
			t.Errorf("%s: %v: got %q, want %q in it", tt.values, err, complaint, tt.want)
		}
	}
}

func TestOldReleasesOfKubernetesAreRefused(t *testing.T) {
	_, complaint, err := runHelm(t, "", "template", releaseName, chartFolder, "--kube-version", "1.31.9")
	if want := "chart requires kubeVersion: >=1.32.0-0 which is incompatible with Kubernetes v1.31.9"; err == nil || !strings.Contains(complaint, want) {
		t.Errorf("got %q, want %q in it", complaint, want)
	}
}
