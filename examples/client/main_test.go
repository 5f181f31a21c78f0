package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/swarm"
)

const token = "a-token-of-the-test-0123456789"

// TestMain lets the test binary stand in for the program.
func TestMain(m *testing.M) {
	if os.Getenv("CLIENT_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// example runs the program at a node with a token, and returns its exit code and what it says.
func example(t *testing.T, api, token string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CLIENT_MAIN=1", "MOOT_API="+api, "MOOT_TOKEN="+token)
	text, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// person is somebody with an account, whose key is in a file.
type person struct {
	key  ed25519.PrivateKey
	keys ledger.KeySet
	file string
}

func newPerson(t *testing.T) person {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "person.key")
	text := append([]byte("# of a test\n"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return person{key, ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(public)}}, file}
}

// startNode runs a node with a ledger, in which ann has 100 of the asset that is returned.
func startNode(t *testing.T, ann person) (*node.Node, string) {
	t.Helper()
	home := t.TempDir()
	key, err := node.ValidatorKey(home)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := node.NewGenesis("test", []ledger.GenesisValidator{{Key: key, Power: 1, Operator: ann.keys.ID()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.JoinHome(home, genesis); err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{Home: home, Listen: swarm.DefaultListen(0), API: node.APIConfig{Listen: "127.0.0.1:0", Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	<-n.Ready()
	asset := ledger.AssetID{Code: "LOAF", Issuer: ann.keys.ID()}
	issue(t, n, ann, &ledger.DefineAsset{Asset: asset, Scale: 2}, &ledger.Issue{Asset: asset, To: ann.keys.ID(), Amount: ledger.NewAmount(100_00)})
	return n, asset.String()
}

func issue(t *testing.T, n *node.Node, by person, operations ...ledger.Operation) {
	t.Helper()
	tx := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(10 * time.Minute).UnixMilli(), Operations: operations}}
	if err := tx.Sign(n.Ledger().Network(), by.keys.ID(), &by.keys, by.key); err != nil {
		t.Fatal(err)
	}
	data, err := ledger.EncodeTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := n.Ledger().Decide(t.Context(), data); err != nil || code != ledger.Applied {
		t.Fatalf("issue: %v, %v", code, err)
	}
}

var output = regexp.MustCompile(`^put orders/1: 1 of 1; 5 wanted copies
got orders/1 = two loaves
saw orders/2 = a cake
resumed: saw orders/3 = ten rolls
paid 2\.50: transaction [0-9a-f]{64} is in block \d+
proven: 1 of 1 of the voting power signed; the receipt is in receipt.json
$`)

// TestExample runs the program at a node, and then where something is wrong.
func TestExample(t *testing.T) {
	ann, bob := newPerson(t), newPerson(t)
	n, asset := startNode(t, ann)
	payment := func(amount string) []string {
		return []string{"--key", ann.file, "--to", bob.keys.ID().String(), "--asset", asset, "--amount", amount}
	}
	if code, out := example(t, n.APIURL(), token, payment("2.50")...); code != 0 || !output.MatchString(out) {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	account, err := n.Ledger().Account(bob.keys.ID())
	if err != nil || len(account.Balances) != 1 || account.Balances[0].Amount != ledger.NewAmount(2_50) {
		t.Errorf("bob has %+v, %v", account.Balances, err)
	}
	for name, tt := range map[string]struct {
		api, token string
		args       []string
		code       int
		says       string
	}{
		"no node":         {"http://" + closedPort(t), "", nil, 4, "no node answers at http://127.0.0.1:"},
		"no token":        {n.APIURL(), "", nil, 1, "token"},
		"a wrong token":   {n.APIURL(), "wrong-" + token, nil, 1, "token"},
		"no address":      {"nowhere", "", nil, 2, "want http://HOST:PORT"},
		"too much":        {n.APIURL(), token, payment("1000"), 5, "transaction "},
		"too many places": {n.APIURL(), token, payment("0.001"), 2, "--amount: "},
		"no such asset":   {n.APIURL(), token, append(payment("1"), "--asset", "NONE@"+ann.keys.ID().String()), 3, "ask for the asset: "},
		"no key":          {n.APIURL(), token, append(payment("1"), "--key", "none"), 2, "read the key: "},
		"half a payment":  {n.APIURL(), token, []string{"--key", ann.file}, 2, "--key needs --to"},
	} {
		if code, out := example(t, tt.api, tt.token, tt.args...); code != tt.code || !strings.Contains(out, "client: ") || !strings.Contains(out, tt.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", name, code, tt.code, tt.says, out)
		}
	}
}

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
