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

// TestAskOthers: another pod of the StatefulSet runs when it takes a connection and does not say that it has no home, or when Kubernetes says that one is ready. The pod itself is never asked, and who says nothing is named.
func TestAskOthers(t *testing.T) {
	const whole = `"replicas":3,"serviceName":"moot-peers","template":{"spec":{"containers":[{"ports":[{"name":"http","containerPort":7070},{"name":"moot","containerPort":4242}]}]}}`
	const first, second = "moot-1.moot-peers.town.svc:4242", "moot-2.moot-peers.town.svc:4242"
	for name, c := range map[string]struct {
		spec, status string
		says         map[string]string // by address; others refuse the connection
		asked        string
		want         Others
	}{
		"nobody":                  {whole, `{}`, nil, first + " " + second, Others{Silent: "pod moot-1"}},
		"the second":              {whole, `{}`, map[string]string{first: "/multistream/1.0.0\n"}, first, Others{"pod moot-1", "pod moot-2"}},
		"one that says nothing":   {whole, `{}`, map[string]string{first: homeless, second: ""}, second, Others{Running: "pod moot-2"}},
		"one without a home":      {whole, `{}`, map[string]string{first: homeless}, second, Others{Silent: "pod moot-2"}},
		"all without a home":      {whole, `{}`, map[string]string{first: homeless, second: homeless}, second, Others{}},
		"itself":                  {whole, `{}`, map[string]string{"moot-0.moot-peers.town.svc:4242": ""}, first, Others{Silent: "pod moot-1"}},
		"one that is ready":       {whole, `{"readyReplicas":2}`, nil, "", Others{"one of 2 pods of StatefulSet moot that are ready", "pod moot-1"}},
		"later numbers":           {whole + `,"ordinals":{"start":7}`, `{}`, map[string]string{"moot-9.moot-peers.town.svc:4242": ""}, "moot-7.moot-peers.town.svc:4242", Others{"pod moot-9", "pod moot-7"}},
		"no such port":            {`"replicas":3,"serviceName":"moot-peers"`, `{}`, map[string]string{first: ""}, "", Others{}},
		"no port, but ready":      {`"replicas":3`, `{"readyReplicas":1}`, nil, "", Others{Running: "one of 1 pods of StatefulSet moot that are ready"}},
		"endless replicas":        {strings.Replace(whole, "3", "2000000000", 1), `{}`, nil, "moot-200.moot-peers.town.svc:4242", Others{Silent: "pod moot-1"}},
		"nobody else is to be it": {strings.Replace(whole, "3", "1", 1), `{}`, nil, "", Others{}},
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
			asked[address] = true
			says, listens := c.says[address]
			if !listens {
				return nil, errors.New("refused")
			}
			here, there := net.Pipe()
			go func() {
				_, _ = io.WriteString(there, says)
				there.Close()
			}()
			return here, nil
		}
		got, err := p.AskOthers(t.Context())
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
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
			if _, err := p.AskOthers(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("without an API server: %v", err)
			}
		}
	}
}

// TestSayHomeless: a pod without a home says so at the port of its node, to as many as ask, until it stops.
func TestSayHomeless(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"moot","namespace":"town"},"spec":{"template":{"spec":{"containers":[{"ports":[{"name":"moot","containerPort":%s}]}]}}}}`, port)
	}))
	defer server.Close()
	stop, err := pod(t, server.URL, account(t, server), "moot-1").SayHomeless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dial := new(net.Dialer).DialContext
	for range 3 {
		if got := askPod(t.Context(), dial, "127.0.0.1:"+port); got != hasNoHome {
			t.Errorf("it answers %d", got)
		}
	}
	stop()
	if got := askPod(t.Context(), dial, "127.0.0.1:"+port); got != saysNothing {
		t.Errorf("after it has stopped it answers %d", got)
	}
}
