package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLeaveIfScaledAway runs the command as the preStop hook of pod moot-3.
func TestLeaveIfScaledAway(t *testing.T) {
	replicas := 4
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/apps/v1/namespaces/town/statefulsets/moot" {
			t.Errorf("asked for %s", r.URL)
		}
		fmt.Fprintf(w, `{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"moot","namespace":"town"},"spec":{"replicas":%d}}`, replicas)
	}))
	defer server.Close()

	b := newBench(t)
	b.backend.SetLeave(nil, 0, 0)
	b.fails(exitUsage, []string{"leave", "--if-scaled-away"}, "no pod of Kubernetes", "leave the option out")
	b.inPod(server, "moot-3")
	b.fails(exitUsage, []string{"leave", "--if-scaled-away", "--drain-timeout", "-1s"}, "--drain-timeout")

	got := b.must("leave", "--if-scaled-away")
	if got != "the node stays: pod moot-3 is one of the 4 replicas of StatefulSet moot and comes back\n" || b.backend.Left() {
		t.Errorf("%s; left: %t", got, b.backend.Left())
	}
	if got := b.must("leave", "--if-scaled-away", "--json"); !strings.Contains(got, `"left": false`) || !strings.Contains(got, `"reason": "pod moot-3 is one`) {
		t.Error(got)
	}

	replicas = 3
	said := b.moot("leave", "--if-scaled-away")
	if said.code != exitDone || !b.backend.Left() || !strings.Contains(said.stdout, "has left the network") || !strings.Contains(said.err, "beyond the 3 replicas") {
		t.Errorf("%+v; left: %t", said, b.backend.Left())
	}
}

// inPod makes the commands run as in a pod whose API server is the one given.
func (b *bench) inPod(server *httptest.Server, pod string) {
	b.t.Helper()
	b.serviceAccount = b.t.TempDir()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"ca.crt": string(certificate), "token": "secret", "namespace": "town"} {
		if err := os.WriteFile(filepath.Join(b.serviceAccount, name), []byte(content), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	where, err := url.Parse(server.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	b.env["KUBERNETES_SERVICE_HOST"], b.env["KUBERNETES_SERVICE_PORT"], b.env["HOSTNAME"] = where.Hostname(), where.Port(), pod
}
