package kubernetes

import (
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func TestHere(t *testing.T) {
	for name, tt := range map[string]struct {
		env     map[string]string
		set     string
		ordinal int64
		server  string
	}{
		"by the host's name": {map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443", "HOSTNAME": "moot-3"}, "moot", 3, "10.0.0.1:6443"},
		"by its own name":    {map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "HOSTNAME": "node-7", "MOOT_POD_NAME": "a-folkmoot-10"}, "a-folkmoot", 10, "[fd00::1]:443"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Here(env(tt.env), "x")
			if err != nil || p.set != tt.set || p.ordinal != tt.ordinal || p.server != tt.server {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestNotHere(t *testing.T) {
	if _, err := Here(env(map[string]string{"HOSTNAME": "moot-3"}), "x"); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "no pod of Kubernetes") {
		t.Errorf("outside of a pod: %v", err)
	}
	for _, name := range []string{"", "moot", "-3", "moot-", "moot-x", "moot-03", "moot-+3", "moot-99999999999", "../moot-3", "Moot-3", "a/b-3", ".-3", strings.Repeat("a", 300) + "-3"} {
		_, err := Here(env(map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": name}), "x")
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "MOOT_POD_NAME") {
			t.Errorf("pod %q: %v", name, err)
		}
	}
}
