package schema

import (
	"slices"
	"strings"
	"testing"
)

// pod is a manifest that every release takes; tests change a line of it.
const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: a
  labels: {app: a}
spec:
  terminationGracePeriodSeconds: 5
  containers:
    - name: moot
      image: moot
      args: [run]
      ports:
        - {containerPort: 80, protocol: TCP}
        - {containerPort: 80, protocol: UDP}
      resources: {requests: {cpu: 1, memory: 1Mi}}
      livenessProbe: {httpGet: {port: http}}
`

func validate(t *testing.T, release, manifest string) []string {
	t.Helper()
	spec, err := Load(release)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Decode([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, object := range objects {
		problems = append(problems, spec.Validate(object)...)
	}
	return problems
}

func TestEveryReleaseTakesWhatIsRight(t *testing.T) {
	if want := []string{"1.34", "1.35", "1.36"}; !slices.Equal(Releases(), want) {
		t.Errorf("releases %v, want %v", Releases(), want)
	}
	for _, release := range Releases() {
		if problems := validate(t, release, pod); len(problems) > 0 {
			t.Errorf("%s: %q", release, problems)
		}
	}
}

func TestWhatIsWrongIsNamedWithItsPlace(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{"image: moot", "imge: moot", "spec.containers[0].imge: unknown field"},
		{"terminationGracePeriodSeconds: 5", `terminationGracePeriodSeconds: "5"`, "spec.terminationGracePeriodSeconds: want integer, got string"},
		{"terminationGracePeriodSeconds: 5", `terminationGracePeriodSeconds: 5.5`, "spec.terminationGracePeriodSeconds: want integer, got number"},
		{"terminationGracePeriodSeconds: 5", `terminationGracePeriodSeconds:`, "spec.terminationGracePeriodSeconds: nothing there"},
		{"- name: moot", "- stdin: true", "spec.containers[0].name: missing"},
		{"args: [run]", "args: run", "spec.containers[0].args: want array, got string"},
		{"args: [run]", "args: [1]", "spec.containers[0].args[0]: want string, got integer"},
		{"args: [run]", "env: [{name: A}, {name: B}, {name: A}]", "spec.containers[0].env[2]: a second name A"},
		{"protocol: UDP", "protocol: TCP", "spec.containers[0].ports[1]: a second containerPort 80, protocol TCP"},
		{"memory: 1Mi", "memory: true", "spec.containers[0].resources.requests.memory: want string or number, got boolean"},
		{"port: http", "port: [http]", "spec.containers[0].livenessProbe.httpGet.port: want integer or string, got array"},
		{"{app: a}", "{app: 1}", "metadata.labels.app: want string, got integer"},
		{"{app: a}", "[app]", "metadata.labels: want object, got array"},
		{"kind: Pod", "kind: Pot", `kind "Pot" of "v1" is not in the spec`},
		{"apiVersion: v1", "apiVersion: apps/v1", `kind "Pod" of "apps/v1" is not in the spec`},
	}
	for _, tt := range tests {
		manifest := strings.Replace(pod, tt.old, tt.new, 1)
		if got := validate(t, "1.36", manifest); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: got %q, want %q", tt.new, got, tt.want)
		}
	}
}

func TestOtherKinds(t *testing.T) {
	tests := []struct{ manifest, want string }{
		{"{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {token: Zm9v}}", ""},
		{"{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {token: foo}}", `data.token: want base64, got "foo"`},
		{"{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a}, spec: {selector: {}, endpoints: [{scheme: https}]}}", ""},
		{"{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a}, spec: {selector: {}, endpoints: [{scheme: ftp}]}}",
			`spec.endpoints[0].scheme: want one of http, https, got "ftp"`},
	}
	for _, tt := range tests {
		if got := strings.Join(validate(t, "1.34", tt.manifest), "; "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.manifest, got, tt.want)
		}
	}
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	for _, release := range Releases() {
		spec, err := Load(release)
		if err != nil {
			t.Fatal(err)
		}
		var visit func(where string, x *Type)
		visit = func(where string, x *Type) {
			if x == nil {
				return
			}
			if x.Ref != "" && spec.types[x.Target()] == nil {
				t.Errorf("%s: %s refers to %s", release, where, x.Ref)
			}
			for _, part := range append(append([]*Type{x.Items, x.Values}, x.AllOf...), x.OneOf...) {
				visit(where, part)
			}
			for name, part := range x.Properties {
				visit(where+"."+name, part)
			}
		}
		for name, x := range spec.types {
			visit(name, x)
		}
	}
}

func TestManifestsThatCantBeRead(t *testing.T) {
	for _, manifest := range []string{"a: 1\na: 2\n", "- a\n", "a: [\n"} {
		if objects, err := Decode([]byte(manifest)); err == nil {
			t.Errorf("%q was read as %v", manifest, objects)
		}
	}
	objects, err := Decode([]byte("---\n# nothing\n---\nkind: A\nmetadata: {name: b}\n"))
	if err != nil || len(objects) != 1 || Name(objects[0]) != "A b" {
		t.Errorf("got %v, %v", objects, err)
	}
}

func TestUnknownReleases(t *testing.T) {
	if _, err := Load("1.20"); err == nil || !strings.Contains(err.Error(), "there are 1.34, 1.35, 1.36") {
		t.Errorf("got %v", err)
	}
}
