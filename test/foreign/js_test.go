//go:build e2e

package foreign

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
)

const (
	// installTimeout bounds npm's work, answerTimeout one operation of a peer.
	installTimeout = 5 * time.Minute
	answerTimeout  = 30 * time.Second
	// maxLine bounds an answer of a peer, in bytes.
	maxLine = 4 << 20
)

// modules returns a folder with the modules that js/package-lock.json names. npm installs them into the user's cache once for each state of that file.
func modules(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("js/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Join(cache, "folkmoot", "foreign")
	dir := filepath.Join(parent, fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	if _, err := os.Stat(dir); err == nil {
		return filepath.Join(dir, "node_modules")
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := install(t, parent, dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "node_modules")
}

// install makes dir, whole or not at all.
func install(t *testing.T, parent, dir string) error {
	temporary, err := os.MkdirTemp(parent, "install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := copyFile(filepath.Join("js", name), filepath.Join(temporary, name)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = temporary
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci (scripts/install-packages installs npm): %w\n%s", err, out)
	}
	err = os.Rename(temporary, dir)
	if errors.Is(err, fs.ErrExist) { // another test was faster
		return nil
	}
	return err
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// A jsPeer is a process that runs js/peer.mjs.
type jsPeer struct {
	t       *testing.T
	in      io.WriteCloser
	answers chan string
	id      peer.ID
}

func startJS(t *testing.T, modules, mode string, nodes []*node.Node) *jsPeer {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "peer.mjs", "polyfill.mjs", "signed.mjs"} {
		if err := copyFile(filepath.Join("js", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "--import", "./polyfill.mjs", "peer.mjs", networkID(t).String(), mode)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Node.js (scripts/install-packages installs it): %v", err)
	}
	p := &jsPeer{t: t, in: in, answers: make(chan string)}
	go p.read(out)
	t.Cleanup(func() {
		in.Close()
		stop := time.AfterFunc(answerTimeout, func() { _ = cmd.Process.Kill() })
		defer stop.Stop()
		for range p.answers {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the js-libp2p peer: %v\n%s", err, stderr.String())
		}
	})
	var hello struct{ ID string }
	p.receive(&hello)
	if p.id, err = peer.Decode(hello.ID); err != nil {
		t.Fatal(err)
	}
	p.join(nodes)
	return p
}

// join connects the peer to the first of the nodes alone, and waits until it has found them all.
func (p *jsPeer) join(nodes []*node.Node) {
	p.t.Helper()
	p.do("connect", nil, "address", nodes[0].Addrs()[0].String())
	until(p.t, "the js-libp2p peer knows all nodes", nil, func() bool {
		var known int
		p.do("known", &known)
		return known >= len(nodes)
	})
}

func (p *jsPeer) read(out io.Reader) {
	defer close(p.answers)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		p.answers <- lines.Text()
	}
}

// try lets the peer carry out an operation with arguments by name, and returns its error.
func (p *jsPeer) try(op string, result any, args ...string) error {
	p.t.Helper()
	request := map[string]string{"op": op}
	for i := 0; i < len(args); i += 2 {
		request[args[i]] = args[i+1]
	}
	line, err := json.Marshal(request)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		p.t.Fatal(err)
	}
	return p.receive(result)
}

func (p *jsPeer) do(op string, result any, args ...string) {
	p.t.Helper()
	if err := p.try(op, result, args...); err != nil {
		p.t.Fatalf("%s: %v", op, err)
	}
}

func (p *jsPeer) receive(result any) error {
	p.t.Helper()
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	select {
	case line, ok := <-p.answers:
		if !ok {
			p.t.Fatal("the js-libp2p peer has ended")
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
	case <-time.After(answerTimeout):
		p.t.Fatal("the js-libp2p peer does not answer")
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// put returns how many nodes stored a value, and what was said where one did not.
func (p *jsPeer) put(key, value string) (stored int, refusals []string) {
	p.t.Helper()
	var result struct {
		Stored int
		Errors []string
	}
	p.do("put", &result, "key", encoded(key), "value", encoded(value))
	return result.Stored, result.Errors
}

// get returns the value that the peer reads, empty when it finds none, and its error.
func (p *jsPeer) get(key string) (string, error) {
	p.t.Helper()
	var value []byte
	err := p.try("get", &value, "key", encoded(key))
	return string(value), err
}

func (p *jsPeer) providers(data string) (found []string) {
	p.t.Helper()
	p.do("providers", &found, "data", encoded(data))
	return found
}

func TestJSLibp2p(t *testing.T) {
	installed := modules(t)
	nodes := startNetwork(t, 3)
	mustPut(t, nodes[1], "greeting", "hello from a member")
	for _, mode := range []string{"client", "server"} {
		t.Run(mode, func(t *testing.T) {
			p := startJS(t, installed, mode, nodes)
			t.Run("values", func(t *testing.T) { jsValues(t, nodes, p, "js-"+mode) })
			t.Run("signed records", func(t *testing.T) { jsSignedRecords(t, nodes, p) })
			t.Run("providers", func(t *testing.T) { jsProviders(t, nodes, p, "js "+mode) })
			t.Run("refusals", func(t *testing.T) { jsRefusals(t, nodes, p) })
			t.Run("peers", func(t *testing.T) {
				var addrs []string
				if p.do("find", &addrs, "id", nodes[2].ID().String()); len(addrs) == 0 {
					t.Errorf("%s was not found", nodes[2].ID())
				}
			})
		})
	}
}

// jsValues: what js-libp2p puts is read by members, by kad-dht and by itself, and the other way round.
func jsValues(t *testing.T, nodes []*node.Node, p *jsPeer, name string) {
	key := "/v/" + name
	for _, value := range []string{"first", "second one"} {
		stored, refused := p.put(key, value)
		if stored != len(nodes) || len(refused) != 0 {
			t.Errorf("%d of %d nodes stored the value; %v", stored, len(nodes), refused)
		}
		for _, n := range nodes {
			wantValue(t, n, "kad/v/"+name, value)
		}
	}
	k := startKad(t, networkID(t), dht.ModeClient, nodes)
	if got, err := k.GetValue(t.Context(), key); err != nil || string(got) != "second one" {
		t.Errorf("kad-dht reads %q, %v", got, err)
	}
	if err := k.PutValue(t.Context(), "/v/for-"+name, []byte("from kad-dht")); err != nil {
		t.Fatal(err)
	}
	if got, err := p.get("/v/for-" + name); err != nil || got != "from kad-dht" {
		t.Errorf("js-libp2p reads %q, %v", got, err)
	}
	if got, err := p.get("/v/none"); got != "" {
		t.Errorf("what is not there is read as %q, %v", got, err)
	}
}

func jsSignedRecords(t *testing.T, nodes []*node.Node, p *jsPeer) {
	const key = "/moot/greeting"
	envelope, err := p.get(key)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Key, Author string
		Value       []byte
	}
	p.do("open", &r, "value", encoded(envelope))
	if r.Key != "greeting" || string(r.Value) != "hello from a member" || r.Author != nodes[1].ID().String() {
		t.Errorf("read %+v", r)
	}
	forged := []byte(envelope)
	forged[len(forged)-1] ^= 1
	if err := p.try("open", &r, "value", encoded(string(forged))); err == nil {
		t.Errorf("a forged record was opened as %+v", r)
	}
	for _, value := range []string{string(forged), envelope} {
		if stored, refused := p.put(key, value); stored != 0 || len(refused) == 0 {
			t.Errorf("%d nodes took a signed record from a foreign peer; %v", stored, refused)
		}
	}
	// js-libp2p keeps for itself what it failed to put; its validator and selector find the signed record all the same.
	if again, err := p.get(key); again != envelope || err != nil {
		t.Errorf("after forgeries the record is %x, %v", again, err)
	}
	got, err := nodes[0].Records().Get(t.Context(), "greeting", records.GetOptions{})
	if err != nil || string(got.Value) != "hello from a member" || got.Author != nodes[1].ID() {
		t.Errorf("a member reads %+v, %v", got, err)
	}
}

func jsProviders(t *testing.T, nodes []*node.Node, p *jsPeer, name string) {
	rendezvous, content := "rendezvous of "+name, "content of "+name
	member := nodes[2].ID()
	for key, data := range map[string]string{rendezvous: rendezvous, fmt.Sprintf("sha256/%x", sha256.Sum256([]byte(content))): content} {
		if _, err := nodes[2].Records().Provide(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		p.do("provide", nil, "data", encoded(data))
		for _, n := range nodes {
			until(t, "a member finds the foreign provider of "+key, nil, func() bool { return foundBy(t, n, key, member, p.id) })
		}
		want := []string{member.String(), p.id.String()}
		slices.Sort(want)
		if found := p.providers(data); !slices.Equal(slices.Sorted(slices.Values(found)), want) {
			t.Errorf("js-libp2p finds %v, want %v", found, want)
		}
		k := startKad(t, networkID(t), dht.ModeClient, nodes)
		wantProviders(t, k, cidOf(t, data), member, p.id)
	}
}

func jsRefusals(t *testing.T, nodes []*node.Node, p *jsPeer) {
	if stored, refused := p.put("/v/large", strings.Repeat("x", records.MaxForeignValue+1)); stored != 0 || len(refused) == 0 {
		t.Errorf("%d nodes took a value that is too large; %v", stored, refused)
	}
	for _, n := range nodes {
		if r, err := n.Records().Get(t.Context(), "kad/v/large", records.GetOptions{}); err == nil {
			t.Errorf("a member reads %d bytes of it", len(r.Value))
		}
	}
}
