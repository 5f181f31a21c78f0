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

	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// guidePatience is how long the commands of one block may take.
	guidePatience = time.Minute
	// changeover is how long it takes until the next person goes on: what the one before did is known at their node by then.
	changeover = time.Second
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

// newVillage makes the machines of the people of a guide. Those of the linked are on one link, in the guide with the addresses 192.0.2.1, 192.0.2.2 and so on; the others' are on none.
func newVillage(t *testing.T, linked []string, others ...string) *village {
	t.Helper()
	lab := newLab(t)
	link := newLink(t, lab, "link")
	v := &village{t: t, dir: t.TempDir(), neighbours: map[string]*neighbour{}}
	var addresses []string
	for i, name := range linked {
		host := newHost(t, lab, name, link)
		addresses = append(addresses, fmt.Sprintf("192.0.2.%d", i+1), host.Addrs(link).V4.Addr().String())
		v.settle(name, host)
	}
	for _, name := range others {
		v.settle(name, newHost(t, lab, name))
	}
	v.addresses = strings.NewReplacer(addresses...)
	return v
}

// settle gives somebody a machine and an empty folder.
func (v *village) settle(name string, host *netns.Host) {
	v.t.Helper()
	n := &neighbour{host: host, dir: filepath.Join(v.dir, name), peers: map[string]*peer{}}
	check(v.t, os.Mkdir(n.dir, 0o755))
	v.neighbours[name] = n
}

// follow carries out a guide to the letter, where nodes are started and killed by the test. It fails the test when that takes longer than longest, or when nothing says one of wants.
func (v *village) follow(guide string, longest time.Duration, wants ...string) {
	v.t.Helper()
	text, err := os.ReadFile(guide)
	check(v.t, err)
	began := time.Now()
	var said strings.Builder
	blocks := blocksOf(string(text))
	for i, b := range blocks {
		if i > 0 && b.who != blocks[i-1].who {
			time.Sleep(changeover)
		}
		said.WriteString(v.carryOut(b))
	}
	took := time.Since(began)
	v.t.Logf("%d blocks of commands in %s", len(blocks), took.Round(100*time.Millisecond))
	if took > longest {
		v.t.Errorf("it took %s, want %s at most", took, longest)
	}
	for _, want := range wants {
		if !strings.Contains(said.String(), want) {
			v.t.Errorf("nothing said %q:\n%s", want, said.String())
		}
	}
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
		} else if home, ok := strings.CutPrefix(line, `kill "$(pgrep -f 'moot run --home `); ok {
			flush(0)
			n.peers[strings.TrimRight(home, `')"`)].terminate(startPatience)
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

// run starts a node, whose home comes first in args. One that was told to stop by itself is waited for, as whoever looks at its terminal does.
func (v *village) run(n *neighbour, args []string) {
	v.t.Helper()
	p := n.peers[args[0]]
	if p == nil {
		p = newPeer(v.t, n.host, args[0])
		p.Home, p.Args = filepath.Join(n.dir, args[0]), args[1:]
		n.peers[args[0]] = p
	}
	if p.Process != nil {
		ctx, cancel := context.WithTimeout(v.t.Context(), startPatience)
		defer cancel()
		_, err := p.Wait(ctx)
		check(v.t, err)
	}
	p.start()
}

// shell has a shell carry out lines, and returns what they print.
func (v *village) shell(n *neighbour, want int, lines []string) string {
	v.t.Helper()
	if len(lines) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), guidePatience)
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
