package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/folkmoot/folkmoot/fault"
)

// objects is an API server that keeps ConfigMaps and has one StatefulSet, called moot.
type objects struct {
	t    *testing.T
	set  string
	mu   sync.Mutex
	maps map[string]configMap // guarded by mu
	// lost is how many answers to a creation are lost, after the object was made; guarded by mu
	lost int
}

func newObjects(t *testing.T, spec string) (*objects, *httptest.Server) {
	o := &objects{t: t, set: object(`,"uid":"u-1","labels":{"app.kubernetes.io/instance":"town","team":"x"}`, spec), maps: make(map[string]configMap)}
	server := httptest.NewTLSServer(o)
	t.Cleanup(server.Close)
	return o, server
}

const configMaps = "/api/v1/namespaces/town/configmaps"

func (o *objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name, one := strings.CutPrefix(r.URL.Path, configMaps+"/")
	switch {
	case r.URL.Path == "/apis/apps/v1/namespaces/town/statefulsets/moot" && r.Method == http.MethodGet:
		fmt.Fprint(w, o.set)
	case one && r.Method == http.MethodGet:
		m, ok := o.maps[name]
		if !ok {
			o.say(w, http.StatusNotFound, "not found")
			return
		}
		_ = json.NewEncoder(w).Encode(m)
	case r.URL.Path == configMaps && r.Method == http.MethodPost:
		o.create(w, r)
	default:
		o.t.Errorf("asked %s %s", r.Method, r.URL)
	}
}

func (o *objects) create(w http.ResponseWriter, r *http.Request) {
	var m configMap
	data, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(data, &m) != nil || r.Header.Get("Content-Type") != "application/json" {
		o.t.Errorf("created with %q, %v", data, err)
	}
	if _, ok := o.maps[m.Metadata.Name]; ok {
		o.say(w, http.StatusConflict, "already exists")
		return
	}
	o.maps[m.Metadata.Name] = m
	if o.lost > 0 {
		o.lost--
		o.say(w, http.StatusInternalServerError, "the answer is lost")
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(data)
}

func (o *objects) say(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","message":%q}`, message)
}

func TestOneGenesisIsCreated(t *testing.T) {
	o, server := newObjects(t, `"replicas":4`)
	p := pod(t, server.URL, account(t, server), "moot-0")
	if _, err := p.Genesis(t.Context(), "town-genesis"); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("before: %v", err)
	}
	// Of many at once one succeeds, and what it wrote stays.
	var founded, late int
	var mu sync.Mutex
	var founding sync.WaitGroup
	for i := range 8 {
		founding.Go(func() {
			err := p.CreateGenesis(t.Context(), "town-genesis", fmt.Append(nil, i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				founded++
			case fault.KindOf(err) == fault.Conflict:
				late++
			default:
				t.Errorf("create: %v", err)
			}
		})
	}
	founding.Wait()
	if founded != 1 || late != 7 {
		t.Errorf("%d founded, and %d were late", founded, late)
	}
	if _, err := p.Genesis(t.Context(), "town-genesis"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	m := o.maps["town-genesis"]
	if !m.Immutable || len(m.Metadata.Owners) != 0 || m.Metadata.Labels["app.kubernetes.io/instance"] != "town" || m.Metadata.Labels["team"] != "" {
		t.Errorf("created %+v", m)
	}
}

// TestALostAnswerIsNoSecondGenesis: it may have been created, so that who tries again is told that it is there.
func TestALostAnswerIsNoSecondGenesis(t *testing.T) {
	o, server := newObjects(t, `"replicas":4`)
	o.lost = 1
	p := pod(t, server.URL, account(t, server), "moot-0")
	if err := p.CreateGenesis(t.Context(), "g", []byte("mine")); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("create: %v", err)
	}
	if got, err := p.Genesis(t.Context(), "g"); err != nil || string(got) != "mine" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTheGenesisGoesWithTheVolumes(t *testing.T) {
	o, server := newObjects(t, `"replicas":4,"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete"}`)
	if err := pod(t, server.URL, account(t, server), "moot-0").CreateGenesis(t.Context(), "g", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := o.maps["g"].Metadata.Owners; len(got) != 1 || got[0] != (owner{"apps/v1", "StatefulSet", "moot", "u-1"}) {
		t.Errorf("owners %+v", got)
	}
}

func TestWrongConfigMaps(t *testing.T) {
	const whole = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"g","namespace":"town"},"data":{"genesis.json":"x"}}`
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   fault.Kind
		want   string
	}{
		"something else":    {200, strings.Replace(whole, "ConfigMap", "Secret", 1), fault.Unavailable, "something else"},
		"another name":      {200, strings.Replace(whole, `"g"`, `"h"`, 1), fault.Unavailable, "something else"},
		"another namespace": {200, strings.Replace(whole, `"town"`, `"village"`, 1), fault.Unavailable, "something else"},
		"without a genesis": {200, strings.Replace(whole, "genesis.json", "other", 1), fault.Invalid, "it has no genesis.json"},
		"garbage":           {200, "<html>", fault.Unavailable, "not understood"},
		"endless":           {200, strings.Repeat(" ", maxAnswer+1), fault.Unavailable, "longer than"},
		"forbidden":         {403, `{"kind":"Status","message":"no"}`, fault.Unavailable, "answers 403: no"},
		"a 404 of a proxy":  {404, "404 page not found", fault.Unavailable, "answers 404"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			defer server.Close()
			_, err := pod(t, server.URL, account(t, server), "moot-0").Genesis(t.Context(), "g")
			if fault.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, bad := range []string{"", "A", "../x", "a/b", ".a"} {
		if CheckName(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
}

func TestReplicas(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   int
	}{
		"some":          {200, object("", `"replicas":7`), 7},
		"none":          {200, object("", `"replicas":0`), 0},
		"not told":      {200, object("", `"x":0`), 0},
		"being deleted": {200, object(`,"deletionTimestamp":"2026-01-01T00:00:00Z"`, `"replicas":3`), 0},
		"gone":          {404, notFound, 0},
		"forbidden":     {403, `{"kind":"Status","message":"no"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			defer server.Close()
			got, err := pod(t, server.URL, account(t, server), "moot-2").Replicas(t.Context())
			if got != tt.want || (err == nil) != (tt.want > 0) || err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%d, %v; want %d", got, err, tt.want)
			}
		})
	}
}
