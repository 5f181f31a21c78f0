//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/test/moottest"
)

// pythonOutput is what examples/python says where nothing is wrong.
var pythonOutput = regexp.MustCompile(`^put orders/1: 1 of 1 copies
got orders/1 = two loaves
saw orders/2 = a cake
resumed: saw orders/3 = ten rolls
paid 2\.50: transaction [0-9a-f]{64} is in block \d+
the receipt is in receipt.json
$`)

// TestPythonExample runs examples/python at a node with a ledger that asks for tokens, and then where something is wrong.
func TestPythonExample(t *testing.T) {
	p := newPeer(t, moottest.Local{}, "node")
	p.Args = []string{"--listen", "/ip4/127.0.0.1/tcp/0", "--mdns=false", "--api-listen", "127.0.0.1:0", "--api-tokens=require"}
	p.do("init", "--network", networkName(t))
	p.start()
	api, err := p.URL()
	check(t, err)
	token := strings.TrimSpace(p.do("token", "new", "orders", "--scope", "write"))
	ann, bob := strings.TrimSpace(p.do("ledger", "account", "new", "ann")), strings.TrimSpace(p.do("ledger", "account", "new", "bob"))
	p.do("ledger", "asset", "define", "LOAF", "--issuer", "ann", "--scale", "2")
	p.do("ledger", "issue", "100", "LOAF", "--to", "ann")
	dir := t.TempDir()
	payment := func(amount string) []string {
		return []string{"--key", filepath.Join(p.Home, "accounts", "ann.key"), "--to", bob, "--asset", "LOAF@" + ann, "--amount", amount}
	}

	got := python(t, dir, api, token, payment("2.50")...)
	if got.Code != 0 || got.Stderr != "" || !pythonOutput.MatchString(got.Stdout) {
		t.Fatalf("%+v", got)
	}
	if said := p.do("ledger", "balances", "bob"); !strings.HasPrefix(said, "2.50 LOAF") {
		t.Errorf("bob has %s", said)
	}
	genesis := filepath.Join(dir, "genesis.json")
	check(t, os.WriteFile(genesis, []byte(p.do("ledger", "genesis")), 0o600))
	if said := p.do("ledger", "verify", filepath.Join(dir, "receipt.json"), "--genesis", genesis); !strings.HasPrefix(said, "proven: this transaction") {
		t.Errorf("the receipt: %s", said)
	}

	for name, tt := range map[string]struct {
		api, token string
		args       []string
		code       int
		says       string
	}{
		"no node":           {"http://" + closedPort(t), token, nil, 4, "no answer from http://127.0.0.1:"},
		"no token":          {api, "", nil, 1, "token"},
		"a wrong token":     {api, "x" + token, nil, 1, "token"},
		"no address":        {"nowhere", "", nil, 2, "want http://HOST:PORT"},
		"half a payment":    {api, token, []string{"--key", "none"}, 2, "--key needs --to"},
		"no key":            {api, token, append(payment("1"), "--key", "none"), 2, "read the key: "},
		"too much":          {api, token, payment("1000"), 5, "insufficient balance"},
		"too many places":   {api, token, payment("0.001"), 2, "at most 2 decimal places"},
		"a mistyped payee":  {api, token, append(payment("1"), "--to", bob[:len(bob)-1]+"b"), 2, "is not an account"},
		"an unknown asset":  {api, token, append(payment("1"), "--asset", "NONE@"+ann), 3, "there is no asset"},
		"an unknown option": {api, token, []string{"--quickly"}, 2, "--quickly"},
	} {
		got := python(t, dir, tt.api, tt.token, tt.args...)
		if got.Code != tt.code || !strings.Contains(got.Stderr, tt.says) || strings.Contains(got.Stderr, "Traceback") {
			t.Errorf("%s: want exit code %d and %q, got %+v", name, tt.code, tt.says, got)
		}
	}
}

// TestPythonTransfers holds what examples/python writes and signs to what the Go code does.
func TestPythonTransfers(t *testing.T) {
	vectors, err := filepath.Abs("../../clients/typescript/test/data/transfers.json")
	check(t, err)
	cmd := exec.CommandContext(t.Context(), "python3", "-B", "-c", `
import json, sys, ledger
count = 0
for v in json.load(open(sys.argv[1]))["transfers"]:
    body, seed = v["body"], bytes.fromhex(v["seed"])
    assert ledger.account_of(ledger.public_key(seed)) == v["account"]
    if len(body["transfers"]) > 1:
        continue  # the example pays one at a time
    to = body["transfers"][0]
    id, encoded = ledger.transfer(v["network"], seed, to["asset"], to["to"], int(to["amount"]), body["valid_until"], int(body["salt"]), body["memo"])
    assert (id, encoded.hex()) == (v["id"], v["encoded"]), v
    count += 1
assert count > 0
`, vectors)
	cmd.Dir = "../../examples/python"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// python runs examples/python in a folder, at a node with a token.
func python(t *testing.T, dir, api, token string, args ...string) moottest.Result {
	t.Helper()
	program, err := filepath.Abs("../../examples/python/orders.py")
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", append([]string{"-B", program}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "MOOT_API="+api, "MOOT_TOKEN="+token)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return moottest.Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// closedPort returns an address of this machine at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}
