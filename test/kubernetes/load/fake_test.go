package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// A network is a fake of one: nodes that share a register per key. It must be made in the bubble of a test.
type network struct {
	mu       sync.Mutex
	versions map[string][]stored                                        // guarded by mu; by key, oldest first
	count    int                                                        // guarded by mu; versions given
	nodes    map[string]*fakeNode                                       // by host
	read     func(key string, all []stored) (answer stored, found bool) // guarded by mu; what a read answers; nil: the newest
}

type stored struct{ version, value string }

// A fakeNode serves the network's API at an address of its own.
type fakeNode struct {
	network *network
	conns   chan net.Conn
	closed  chan struct{}

	mu    sync.Mutex
	state nodeState     // guarded by mu
	mend  chan struct{} // guarded by mu; closed when the state changes
}

type nodeState uint8

const (
	up nodeState = iota
	// down: connections are refused.
	down
	// hung: requests are taken and not answered.
	hung
	// unavailable: the node has no quorum.
	unavailable
)

func newNetwork(t *testing.T, hosts ...string) *network {
	n := &network{versions: map[string][]stored{}, nodes: map[string]*fakeNode{}}
	for _, host := range hosts {
		node := &fakeNode{network: n, conns: make(chan net.Conn), closed: make(chan struct{}), mend: make(chan struct{})}
		n.nodes[host] = node
		server := &http.Server{Handler: node}
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Serve(node)
		}()
		t.Cleanup(func() {
			server.Close()
			<-done
		})
	}
	return n
}

// urls returns the nodes' base URLs.
func (n *network) urls() (urls []string) {
	for _, host := range slices.Sorted(maps.Keys(n.nodes)) {
		urls = append(urls, "http://"+host)
	}
	return urls
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	node := n.nodes[host]
	if state, _ := node.get(); state == down {
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	ours, theirs := net.Pipe()
	select {
	case node.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeNode) get() (nodeState, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.mend
}

// set changes the node's state.
func (f *fakeNode) set(s nodeState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = s
	close(f.mend)
	f.mend = make(chan struct{})
}

func (f *fakeNode) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *fakeNode) Close() error {
	close(f.closed)
	return nil
}

func (f *fakeNode) Addr() net.Addr { return &net.TCPAddr{} }

func (f *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch state, mended := f.get(); state {
	case down:
		panic(http.ErrAbortHandler)
	case hung:
		select {
		case <-mended:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case unavailable:
		problem(w, http.StatusServiceUnavailable, fault.Unavailable)
		return
	}
	key := strings.TrimPrefix(r.URL.Path, "/v1/records/")
	if r.Method == http.MethodPut {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v1.Written{Key: key, Version: f.network.put(key, string(body))})
		return
	}
	answer, found := f.network.get(key)
	if !found {
		problem(w, http.StatusNotFound, fault.NotFound)
		return
	}
	w.Header().Set(v1.HeaderVersion, answer.version)
	io.WriteString(w, answer.value)
}

func problem(w http.ResponseWriter, status int, kind fault.Kind) {
	w.Header().Set("Content-Type", v1.ProblemType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v1.Problem{Status: status, Kind: kind.String(), Detail: kind.String()})
}

func (n *network) put(key, value string) (version string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	version = fmt.Sprintf("%08d", n.count)
	n.versions[key] = append(n.versions[key], stored{version, value})
	return version
}

func (n *network) get(key string) (stored, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.versions[key]
	if n.read != nil {
		return n.read(key, all)
	}
	return newest(key, all)
}

func newest(_ string, all []stored) (stored, bool) {
	if len(all) == 0 {
		return stored{}, false
	}
	return all[len(all)-1], true
}

// lie has reads of the network answered by f, or honestly when that is nil.
func (n *network) lie(f func(key string, all []stored) (stored, bool)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.read = f
}
