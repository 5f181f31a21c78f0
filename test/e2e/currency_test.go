//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// currencyGuide is what the test carries out, and currencyTime how long that may take.
	currencyGuide = "../../docs/currency.md"
	currencyTime  = time.Minute
	// prelude copies a file from where somebody works, as scp would.
	prelude = `set -euo pipefail
scp() { local f; for f in "${@:1:$#-1}"; do cp "$WORLD/${f%%:*}/${f#*:}" "${@: -1}"; done; }
`
)

// A block is some commands of the guide that one person gives.
type block struct {
	who   string
	lines []string
}

// A neighbour is somebody of the guide, at a machine of their own.
type neighbour struct {
	host  *netns.Host
	dir   string
	peers map[string]*peer
}

// A village is the world of the guide.
type village struct {
	t          *testing.T
	dir        string
	neighbours map[string]*neighbour
	addresses  *strings.Replacer // of the guide, to those of the hosts
}

// TestCurrency carries out docs/currency.md to the letter: two people on two machines run a currency and a register of claims, prove to a third what happened, and lose a validator.
func TestCurrency(t *testing.T) {
	text, err := os.ReadFile(currencyGuide)
	check(t, err)
	v := newVillage(t)
	began := time.Now()
	var said strings.Builder
	blocks := blocksOf(string(text))
	for _, b := range blocks {
		said.WriteString(v.carryOut(b))
	}
	took := time.Since(began)
	t.Logf("%d blocks of commands in %s", len(blocks), took.Round(100*time.Millisecond))
	if took > currencyTime {
		t.Errorf("it took %s, want %s at most", took, currencyTime)
	}
	for _, want := range []string{"12.50 FLOUR", `memo: for the north field`, "the record claims/1", "anchored in block", "1025"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nothing said %q:\n%s", want, said.String())
		}
	}
	back := v.neighbours["ann"].peers["a2"]
	eventually(t, ledgerPatience, func() error {
		l := decode[v1.Ledger](t, back.do("ledger", "--json"))
		now := decode[v1.Ledger](t, v.neighbours["bob"].peers["b1"].do("ledger", "--json"))
		if l.Height < now.Height || l.Syncing || l.Problem != "" || l.Power == 0 {
			return fmt.Errorf("the validator that was lost: %+v, another: %+v", l, now)
		}
		return nil
	})
}

// blocksOf returns the blocks of commands of a guide.
func blocksOf(guide string) (blocks []block) {
	var b *block
	for line := range strings.Lines(guide) {
		line = strings.TrimSpace(line)
		who, begins := strings.CutPrefix(line, "```sh ")
		switch {
		case begins:
			b = &block{who: who}
		case line == "```" && b != nil:
			blocks, b = append(blocks, *b), nil
		case b != nil:
			b.lines = append(b.lines, line)
		}
	}
	return blocks
}

// newVillage makes the machines of the guide: Ann's and Bob's are on one link, Carol's is on none.
func newVillage(t *testing.T) *village {
	t.Helper()
	lab := newLab(t)
	link := newLink(t, lab, "link")
	v := &village{t: t, dir: t.TempDir(), neighbours: map[string]*neighbour{}}
	var addresses []string
	for i, name := range []string{"ann", "bob", "carol"} {
		n := &neighbour{dir: filepath.Join(v.dir, name), peers: map[string]*peer{}}
		if name == "carol" {
			n.host = newHost(t, lab, name)
		} else {
			n.host = newHost(t, lab, name, link)
			addresses = append(addresses, fmt.Sprintf("192.0.2.%d", i+1), n.host.Addrs(link).V4.Addr().String())
		}
		check(t, os.Mkdir(n.dir, 0o755))
		v.neighbours[name] = n
	}
	v.addresses = strings.NewReplacer(addresses...)
	return v
}

// carryOut gives the commands of a block, and returns what they print. Nodes are started and killed by the test; all else is the shell's.
func (v *village) carryOut(b block) (said string) {
	v.t.Helper()
	n := v.neighbours[b.who]
	if n == nil {
		v.t.Fatalf("the guide speaks of %q", b.who)
	}
	var lines []string
	flush := func(want int) {
		said += v.shell(n, want, lines)
		lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "export ") })
	}
	for _, line := range b.lines {
		line = v.addresses.Replace(line)
		if args, ok := strings.CutPrefix(line, "moot run --home "); ok {
			flush(0)
			v.run(n, strings.Fields(args))
		} else if home, ok := strings.CutPrefix(line, `kill -9 "$(pgrep -f 'moot run --home `); ok {
			flush(0)
			check(v.t, n.peers[strings.TrimRight(home, `')"`)].Kill())
		} else if refused, ok := strings.CutPrefix(line, "! "); ok {
			flush(0)
			lines = append(lines, refused)
			flush(1)
		} else {
			lines = append(lines, line)
		}
	}
	flush(0)
	return said
}

// run starts a node, whose home comes first in args.
func (v *village) run(n *neighbour, args []string) {
	v.t.Helper()
	p := n.peers[args[0]]
	if p == nil {
		p = newPeer(v.t, n.host, args[0])
		p.Home, p.Args = filepath.Join(n.dir, args[0]), args[1:]
		n.peers[args[0]] = p
	}
	p.start()
}

// shell has a shell carry out lines, and returns what they print.
func (v *village) shell(n *neighbour, want int, lines []string) string {
	v.t.Helper()
	if len(lines) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), currencyTime)
	defer cancel()
	script := strings.Join(lines, "\n")
	cmd := n.host.Command(ctx, "bash", "-c", prelude+script)
	cmd.Dir = n.dir
	cmd.Env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + n.dir, "WORLD=" + v.dir}
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		v.t.Fatalf("exit code %d, want %d (%v):\n%s\n\n%s", got, want, err, script, out)
	}
	return string(out)
}
