package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

// TestOtherRuns: another pod of the StatefulSet counts when it takes a connection, or when Kubernetes says that one is ready, and never the pod itself.
func TestOtherRuns(t *testing.T) {
	const whole = `"replicas":3,"serviceName":"moot-peers","template":{"spec":{"containers":[{"ports":[{"name":"http","containerPort":7070},{"name":"moot","containerPort":4242}]}]}}`
	for name, c := range map[string]struct {
		spec, status string
		listens      string
		asked        string
		who          string
	}{
		"nobody":               {whole, `{}`, "", "moot-1.moot-peers.town.svc:4242 moot-2.moot-peers.town.svc:4242", ""},
		"the second":           {whole, `{}`, "moot-1.moot-peers.town.svc:4242", "moot-1.moot-peers.town.svc:4242", "pod moot-1"},
		"itself":               {whole, `{}`, "moot-0.moot-peers.town.svc:4242", "moot-1.moot-peers.town.svc:4242", ""},
		"one that is ready":    {whole, `{"readyReplicas":2}`, "", "", "one of 2 pods of StatefulSet moot that are ready"},
		"later numbers":        {whole + `,"ordinals":{"start":7}`, `{}`, "moot-9.moot-peers.town.svc:4242", "moot-7.moot-peers.town.svc:4242", "pod moot-9"},
		"no such port":         {`"replicas":3,"serviceName":"moot-peers"`, `{}`, "moot-1.moot-peers.town.svc:4242", "", ""},
		"no port, but ready":   {`"replicas":3`, `{"readyReplicas":1}`, "", "", "one of 1 pods of StatefulSet moot that are ready"},
		"endless replicas":     {strings.Replace(whole, "3", "2000000000", 1), `{}`, "", "moot-200.moot-peers.town.svc:4242", ""},
		"nobody by its number": {strings.Replace(whole, "3", "1", 1), `{}`, "", "", ""},
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"moot","namespace":"town"},"spec":{%s},"status":%s}`, c.spec, c.status)
		}))
		p := pod(t, server.URL, account(t, server), "moot-0")
		var mu sync.Mutex
		asked := map[string]bool{}
		p.reach = func(_ context.Context, _, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if asked[address] = true; address != c.listens {
				return nil, errors.New("refused")
			}
			here, there := net.Pipe()
			go io.Copy(io.Discard, there)
			return here, nil
		}
		who, err := p.OtherRuns(t.Context())
		if err != nil || who != c.who {
			t.Errorf("%s: %q, %v; want %q", name, who, err, c.who)
		}
		for address := range strings.FieldsSeq(c.asked) {
			if !asked[address] {
				t.Errorf("%s: %s was not asked", name, address)
			}
		}
		if len(asked) > maxOthers || asked["moot-0.moot-peers.town.svc:4242"] {
			t.Errorf("%s: %d pods were asked, or the pod itself", name, len(asked))
		}
		server.Close()
		if name == "nobody" { // and now the API server is gone
			if _, err := p.OtherRuns(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("without an API server: %v", err)
			}
		}
	}
}
