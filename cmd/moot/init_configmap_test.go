package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

// genesisServer is an API server with the StatefulSet moot and room for one ConfigMap, town-genesis.
type genesisServer struct {
	mu      sync.Mutex
	stored  json.RawMessage // guarded by mu
	created int             // guarded by mu
	down    bool            // guarded by mu
	ready   int             // guarded by mu; how many pods are
	port    int             // guarded by mu; of the pods' nodes; 0: none is known
	service string          // guarded by mu; of the pods, whose port is then known
}

func (s *genesisServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const maps = "/api/v1/namespaces/town/configmaps"
	say := func(code int) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","message":"no: %d"}`, code)
	}
	switch {
	case s.down:
		say(http.StatusForbidden)
	case r.URL.Path == "/apis/apps/v1/namespaces/town/statefulsets/moot":
		fmt.Fprintf(w, `{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"moot","namespace":"town"},"spec":{"replicas":4,"serviceName":%q,"template":{"spec":{"containers":[{"ports":[{"name":"moot","containerPort":%d}]}]}}},"status":{"readyReplicas":%d}}`, s.service, s.port, s.ready)
	case r.Method == http.MethodPost && r.URL.Path == maps && s.stored == nil:
		s.created++
		_ = json.NewDecoder(r.Body).Decode(&s.stored)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(s.stored)
	case r.Method == http.MethodPost:
		say(http.StatusConflict)
	case r.URL.Path == maps+"/town-genesis" && s.stored != nil:
		_, _ = w.Write(s.stored)
	default:
		say(http.StatusNotFound)
	}
}

// set changes the server's state.
func (s *genesisServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// podBench is a bench whose commands run in a pod with a volume of its own.
func podBench(t *testing.T, server *httptest.Server, pod string) *bench {
	b := newBench(t)
	b.inPod(server, pod)
	return b
}

var inTown = []string{"init", "--network", "town", "--genesis-configmap", "town-genesis"}

func (b *bench) genesisID() string {
	b.t.Helper()
	info, err := node.ReadHome(b.home)
	if err != nil || info.Genesis == nil {
		b.t.Fatalf("%s: %+v, %v", b.home, info, err)
	}
	return info.Genesis.ID().String()
}

// TestNoSecondNetwork: the ConfigMap and the volume of pod 0 are gone while others run. Pod 0 founds nothing, and enters their network once one of them has put the ConfigMap back.
func TestNoSecondNetwork(t *testing.T) {
	s := new(genesisServer)
	server := httptest.NewTLSServer(s)
	defer server.Close()
	validator := append(inTown, "--validator")
	podBench(t, server, "moot-0").must(validator...)
	other := podBench(t, server, "moot-1")
	other.must(validator...)
	id := other.genesisID()

	s.set(func() { s.stored, s.ready = nil, 1 })
	waiting := make(chan outcome, 1)
	again := podBench(t, server, "moot-0")
	go func() { waiting <- again.moot(validator...) }()
	select {
	case got := <-waiting:
		t.Fatalf("pod 0 does not wait: %+v", got)
	case <-time.After(3 * configMapPause / 2):
	}
	s.set(func() {
		if s.created != 1 {
			t.Errorf("%d networks were founded", s.created)
		}
	})
	if got := other.moot(validator...); got.code != exitDone || !strings.Contains(got.err, "putting it back") { // a restart
		t.Errorf("%+v", got)
	}
	got := <-waiting
	if got.code != exitDone || !strings.Contains(got.err, "no other network is founded") || again.genesisID() != id {
		t.Errorf("%+v; network %s, want %s", got, again.genesisID(), id)
	}
}

// TestNoNetworkBeforeAllHaveSpoken: where a pod that is to be there has not said that it has no home, it may have one, and no network is founded. What is waited for is told, with the remedy.
func TestNoNetworkBeforeAllHaveSpoken(t *testing.T) {
	s := &genesisServer{service: "moot-peers", port: 1} // no pod of that name is found
	server := httptest.NewTLSServer(s)
	defer server.Close()
	founding := podBench(t, server, "moot-0")
	done := make(chan outcome, 1)
	go func() { done <- founding.moot(append(inTown, "--validator")...) }()
	select {
	case got := <-done:
		t.Fatalf("pod 0 does not wait: %+v", got)
	case <-time.After(2 * configMapPause):
	}
	s.set(func() {
		if s.created != 0 {
			t.Error("a network was founded")
		}
		s.service = "" // and now it is known that there is nobody to ask
	})
	got := <-done
	if got.code != exitDone || !strings.Contains(got.err, "pod moot-1 has not said that it has no network") || !strings.Contains(got.err, "kubectl scale") || s.created != 1 {
		t.Errorf("%+v; %d networks were founded", got, s.created)
	}
}

// TestMembersOfARelease: with the members' secret pod 0 founds a network for members only, which is its first; without it nobody else gets in, and what does not go together is refused.
func TestMembersOfARelease(t *testing.T) {
	server := httptest.NewTLSServer(new(genesisServer))
	defer server.Close()
	founder := podBench(t, server, "moot-0")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 43)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	members := append(inTown, "--members-secret", secret, "--dns", "nobody.invalid")
	for range 2 { // and after a restart
		founder.must(append(members, "--validator")...)
	}
	info, err := node.ReadHome(founder.home)
	if err != nil || !info.Genesis.MembersOnly() || len(info.Genesis.Members) != 1 {
		t.Fatalf("%+v, %v", info.Genesis, err)
	}
	if member, err := node.IsMember(founder.home); !member || err != nil {
		t.Errorf("the founder is a member: %t, %v", member, err)
	}
	podBench(t, server, "moot-1").fails(exitFailed, inTown, "is for members only, and this node is none", "moot members admit PEER")
	podBench(t, server, "moot-1").fails(exitUsage, append(inTown, "--members-secret", secret), "--members-secret and --dns go together")
	podBench(t, server, "moot-1").fails(exitUsage, []string{"init", "--network", "town", "--dns", "town"}, "--members-secret and --dns go together")
	if err := os.WriteFile(secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	podBench(t, server, "moot-1").fails(exitUsage, members, "the members' secret", "want one line of 32 to 1024 bytes")
}

// TestOneGenesisForAll: pod 0 founds, and nobody else; it never does so twice, with or without its volume; and a ConfigMap that is gone is put back as it was.
func TestOneGenesisForAll(t *testing.T) {
	s := new(genesisServer)
	server := httptest.NewTLSServer(s)
	defer server.Close()
	validator := append(inTown, "--validator")

	// The others wait, whichever comes first.
	waiting := make(chan outcome, 1)
	third := podBench(t, server, "moot-2")
	go func() { waiting <- third.moot(validator...) }()
	founder := podBench(t, server, "moot-0")
	founder.must(validator...)
	if got := <-waiting; got.code != exitDone {
		t.Fatalf("the third pod: %+v", got)
	}
	plain := podBench(t, server, "town-extra-6b7c9-x2z4k") // of a Deployment
	plain.must(inTown...)
	id := founder.genesisID()
	if third.genesisID() != id || plain.genesisID() != id {
		t.Error("there are several networks")
	}
	info, err := node.ReadHome(founder.home)
	if err != nil {
		t.Fatal(err)
	}
	first := info.Genesis
	for _, b := range []*bench{founder, third} {
		made := b.must("ledger", "validators", "key")
		if again := b.must("ledger", "validators", "key"); again != made {
			t.Error("a validator's key is made twice")
		}
	}
	if matches, _ := filepath.Glob(filepath.Join(plain.home, "validator", "*")); len(matches) > 0 {
		t.Error("a peer without a vote has a validator's key")
	}

	founder.must(validator...) // a restart
	again := podBench(t, server, "moot-0")
	again.must(validator...) // without its volume
	if again.genesisID() != id || s.created != 1 {
		t.Errorf("a founder without its volume is in network %s, not %s; %d were founded", again.genesisID(), id, s.created)
	}

	var kept json.RawMessage
	s.set(func() { kept, s.stored = s.stored, nil })
	if got := third.moot(validator...); got.code != exitDone || !strings.Contains(got.err, "putting it back") || string(s.stored) != string(kept) {
		t.Errorf("the ConfigMap is gone: %+v; stored\n%s\nwas\n%s", got, s.stored, kept)
	}
	s.set(func() { s.down = true })
	if got := third.moot(validator...); got.code != exitDone || !strings.Contains(got.err, "going on with the genesis") {
		t.Errorf("the API server says no: %+v", got)
	}
	podBench(t, server, "moot-1").fails(exitIncomplete, validator, "ConfigMap town-genesis", "answers 403")

	// A home whose ledger has gone on from the ConfigMap's is of the same network.
	s.set(func() { s.down = false })
	heir := podBench(t, server, "moot-3")
	g, err := ledger.NewSuccessor(ledger.Predecessor{Genesis: first, Height: 7, Block: ledger.Hash{7}, State: ledger.Hash{8}}, first.Created, first.Limits, first.Validators)
	if err == nil {
		_, err = node.JoinHome(heir.home, g)
	}
	if err != nil {
		t.Fatal(err)
	}
	heir.must(validator...)

	// Another network's ConfigMap is not taken for this one's.
	other := new(genesisServer)
	elsewhere := httptest.NewTLSServer(other)
	defer elsewhere.Close()
	podBench(t, elsewhere, "moot-0").must(validator...)
	third.inPod(elsewhere, "moot-2")
	third.fails(exitConflict, validator, "another network than the one in ConfigMap town-genesis")
	podBench(t, elsewhere, "moot-1").fails(exitUsage, []string{"init", "--network", "city", "--genesis-configmap", "town-genesis"}, "is the genesis of network town, not of city")
}
