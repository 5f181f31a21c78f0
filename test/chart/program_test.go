//go:build kubernetes && linux

package chart

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/test/chart/schema"
)

// Every option that the chart gives to moot is one that it takes.
func TestTheProgramTakesWhatTheChartTellsIt(t *testing.T) {
	program := filepath.Join(t.TempDir(), "moot")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/moot").CombinedOutput(); err != nil {
		t.Fatalf("build moot: %v\n%s", err, out)
	}
	commands := make(map[string][]string)
	add := func(where string, args []string) { commands[strings.Join(args, "\x00")] = append(args, "("+where+")") }
	for name, values := range valueSets {
		for _, o := range render(t, values) {
			where := name + ": " + schema.Name(o)
			for _, c := range slices.Concat(list(podSpec(o), "initContainers"), list(podSpec(o), "containers")) {
				add(where, texts(c, "args"))
				if stop := texts(c, "lifecycle", "preStop", "exec", "command"); stop != nil {
					add(where, stop[1:])
				}
			}
		}
		for _, match := range regexp.MustCompile(`(?m)(?:^  | -- )moot (.*)$`).FindAllStringSubmatch(notes(t, values), -1) {
			add(name+": notes", strings.Fields(match[1]))
		}
	}
	if len(commands) < 20 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for _, args := range commands {
		args, where := args[:len(args)-1], args[len(args)-1]
		cmd := exec.CommandContext(t.Context(), program, append(args, "--help")...) // which reads all options first
		cmd.Env = append(os.Environ(), "MOOT_HOME="+t.TempDir())
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		if err := cmd.Run(); err != nil {
			t.Errorf("%s moot %s: %v: %s", where, strings.Join(args, " "), err, &complaint)
		}
	}
}

// notes returns what helm prints after an installation. Without a cluster helm shows templates only, so the notes are made one.
func notes(t *testing.T, values string) string {
	t.Helper()
	folder := copyChart(t)
	file := filepath.Join(folder, "templates/NOTES.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	template := `{{- define "test.notes" }}` + string(text) + `{{ end -}}
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  notes: {{ include "test.notes" . | quote }}
`
	if err := os.WriteFile(filepath.Join(folder, "templates/notes.yaml"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	m := renderFolder(t, folder, releaseName, namespace, values)
	return fmt.Sprint(at(m.get(t, "ConfigMap", "notes"), "data", "notes"))
}

func TestNotes(t *testing.T) {
	for _, tt := range []struct{ values, want string }{
		{"", "5 peers of the open network town.demo are on their way.\n"},
		{"", "  kubectl -n demo rollout status statefulset/town-folkmoot\n"},
		{"", "  kubectl -n demo exec town-folkmoot-4 -- moot get greeting\n"},
		{"", "  TOKEN=$(kubectl -n demo get secret town-folkmoot-api -o jsonpath='{.data.token}' | base64 -d)\n"},
		{"", "  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:7070/v1/records/greeting\n"},
		{"", "  helm test town -n demo\n"},
		{"", "  kubectl -n demo delete pvc -l app.kubernetes.io/instance=town,app.kubernetes.io/name=folkmoot\n"},
		{valueSets["secrets"], "  TOKEN=$(kubectl -n demo get secret mine -o jsonpath='{.data.the\\.token}' | base64 -d)\n"},
		{valueSets["secrets"], " --cacert ca.crt --connect-to ::127.0.0.1:7070 https://town-folkmoot.demo.svc:7070/v1/records/greeting\n"},
		{"validators: 4", "4 validators and 5 peers of the network town.demo are on their way.\n"},
		{"{validators: 4, replicas: 0}", "4 validators of the network town.demo are on their way.\n"},
		{"{validators: 4, replicas: 0}", "  kubectl -n demo rollout status statefulset/town-folkmoot-validator\n"},
		{"{validators: 4, replicas: 0}", "  kubectl -n demo exec town-folkmoot-validator-3 -- moot get greeting\n"},
		{"validators: 4", "  kubectl -n demo exec town-folkmoot-4 -- moot get greeting\n"},
		{"validators: 4", "  kubectl -n demo delete configmap town-folkmoot-genesis\n"},
		{"validators: 3", "With fewer than four validators the ledger stands still while one of them is away"},
		{"validators: 4", "  kubectl -n demo exec town-folkmoot-validator-0 -- moot invite --uses 1\n"},
		{valueSets["joins"], "2 peers and 1 without volumes of the network of the invite are on their way.\n"},
		{"{validators: 4, members: {only: false}, outside: {type: NodePort}}", "  moot run --mdns=false --bootstrap /ip4/$NODE/tcp/32400\n"},
		{"{replicas: 3, extra: {replicas: 2}}", "3 peers and 2 without volumes of the open network town.demo are on their way.\n"},
		{"fullnameOverride: x", "  kubectl -n demo rollout status statefulset/x\n"},
		{"{outside: {type: NodePort}}", "  moot run --network town.demo --open --mdns=false --bootstrap /ip4/$NODE/tcp/32400\n"},
		{valueSets["one protocol"], "  moot run --network town.demo --open --mdns=false --bootstrap /ip4/192.0.2.1/udp/32400/quic-v1\n"},
		{valueSets["load balancers"], "  moot run --network town.demo --open --mdns=false --bootstrap /dns/a/tcp/4242\n"},
		{"hostNetwork: true", "no two of them can be on one node"},
		{"rbac: {create: false}", "peers that are scaled away leave without handing over"},
		{"persistence: {retain: {whenDeleted: Delete}}", `"helm uninstall" removes the volumes`},
	} {
		if got := notes(t, tt.values); !strings.Contains(got, tt.want) {
			t.Errorf("%s: no %q in\n%s", tt.values, tt.want, got)
		}
	}
}
