//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageScript makes curl fail for what HTTP calls an error, and ends what a page leaves open on purpose: a terminal that prints what comes.
const pageScript = `curl() { command curl --silent --show-error --fail-with-body --max-time 10 "$@"; }
open() { timeout --signal=INT 6 "$@" || (($? == 124)); }
`

// remark is what a page says of a command on its line.
var remark = regexp.MustCompile(` {2,}#.*$`)

// A snippet is a block of commands of a page, other than a guide's: it is for whoever has a network already, and stands for itself.
type snippet struct {
	page   string
	begins string   // what its first line begins with
	before string   // commands that make what the block speaks of
	put    []string // in place of what: names and ids that the page can't know
	open   []string // lines that begin so go on until they are ended
	omit   []string // lines that begin so: nodes that are started by the test, and what is typed elsewhere
	wants  []string // of what it prints
}

// lines returns the lines of the block, joined where one goes on in the next, without remarks.
func (s *snippet) lines(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", s.page))
	check(t, err)
	for _, b := range blocksOf(strings.ReplaceAll(string(text), "```sh\n", "```sh page\n")) {
		if b.who == "page" && strings.HasPrefix(b.lines[0], s.begins) {
			whole := strings.ReplaceAll(strings.Join(b.lines, "\n"), "\\\n", "")
			for line := range strings.Lines(whole) {
				lines = append(lines, strings.TrimPrefix(remark.ReplaceAllString(strings.TrimSpace(line), ""), "./"))
			}
			return lines
		}
	}
	t.Fatalf("%s has no block that begins with %q", s.page, s.begins)
	return nil
}

// try types a snippet at a machine.
func (v *village) try(n *neighbour, s snippet) {
	v.t.Helper()
	script := []string{pageScript + s.before}
	last := []string{}
	for _, line := range s.lines(v.t) {
		line = strings.NewReplacer(s.put...).Replace(line)
		switch {
		case begins(line, s.omit):
		case begins(line, s.open): // before all others, as in a terminal of its own
			command, pipe, piped := strings.Cut(line, " | ")
			if piped {
				command += " | { " + pipe + "; }"
			}
			script = append(script, "open "+command+" &", "sleep 2")
		default:
			last = append(last, line)
		}
	}
	said := v.shell(n, 0, append(append(script, last...), "wait"))
	v.t.Logf("%s, %s:\n%s", s.page, s.begins, said)
	for _, want := range s.wants {
		if !strings.Contains(said, want) {
			v.t.Errorf("%s, %s: nothing says %q:\n%s", s.page, s.begins, want, said)
		}
	}
}

func begins(line string, with []string) bool {
	for _, prefix := range with {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// startFrom starts a node with the command of a page that begins so.
func (v *village) startFrom(n *neighbour, page, block, command string) {
	v.t.Helper()
	s := snippet{page: page, begins: block}
	for _, line := range s.lines(v.t) {
		if args, ok := strings.CutPrefix(v.addresses.Replace(line), "moot run "); ok && strings.HasPrefix(line, command) {
			v.run(n, append([]string{".moot"}, strings.Fields(args)...))
			return
		}
	}
	v.t.Fatalf("%s has no %q", page, command)
}

// TestPages types what the README and the pages on records, topics and HTTP show, in an open network of two.
func TestPages(t *testing.T) {
	v := newVillage(t, []string{"here", "there"})
	here, there := v.neighbours["here"], v.neighbours["there"]
	v.startFrom(here, "README.md", "go build", "moot run --network lab --open")
	v.startFrom(there, "README.md", "go build", "moot run --network lab --open --mdns=false")
	a, b := here.peers[".moot"], there.peers[".moot"]
	meet(t, a, b)

	v.try(here, snippet{page: "README.md", begins: "go build", omit: []string{"go build", "moot run"}, open: []string{"moot watch", "moot subscribe"},
		put: []string{"12D3KooW…", b.id + " -c 1"}, wants: []string{"put  greeting", "following news", "2 of 2", b.id}})
	v.try(here, snippet{page: "docs/guide.md", begins: `moot put greeting`, before: `head -c 1000 /dev/urandom > photo.jpg; printf '{"key":"a","value":"1"}\n' > packages.jsonl`,
		wants: []string{"a plan", "photos/1", a.id}})
	v.try(here, snippet{page: "docs/guide.md", begins: `moot watch orders/`, before: "printf '#!/bin/sh\\necho \"handled $1\"\\n' > handle; chmod +x handle; (sleep 3; moot put orders/7 new) > /dev/null &",
		open: []string{"moot watch"}, wants: []string{"handled", "orders/7"}})
	v.try(here, snippet{page: "docs/pubsub.md", begins: "moot subscribe", open: []string{"moot subscribe"}, wants: []string{"commit 1f3a is green"}})
	v.try(here, snippet{page: "docs/pubsub.md", begins: "curl --data-binary", before: "echo '{\"disk\":\"full\"}' > alert.json", open: []string{"curl -N"}, wants: []string{"event: message"}})
	v.try(here, snippet{page: "docs/routing.md", begins: "moot find", put: []string{"12D3KooW…", b.id}, wants: []string{b.id}})
	v.try(here, snippet{page: "docs/http.md", begins: "curl -X PUT --data-binary", wants: []string{"photos/1"}})
	v.try(here, snippet{page: "docs/http.md", begins: "curl -X PUT -H 'If-None-Match", before: "HOSTNAME=here",
		put:   []string{`'If-Match: "0197…-…"'`, `"If-Match: $(curl -D - -o /dev/null http://127.0.0.1:7070/v1/records/colour | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')"`},
		wants: []string{"leader", "Etag: "}})
	v.try(here, snippet{page: "docs/guide.md", begins: "moot backup node.tar", before: "export MOOT_PASSPHRASE=secret; echo secret > p", put: []string{"/new/home", "new"}, omit: []string{"moot run"}, wants: []string{"node.tar"}})
	v.try(there, snippet{page: "docs/guide.md", begins: "moot leave"})
	_, err := os.Stat(filepath.Join(there.dir, ".moot", "left.json"))
	check(t, err)
}

// TestPagesOfTheLedger types what the README and the page on members show, at a founder and at somebody who is invited.
func TestPagesOfTheLedger(t *testing.T) {
	v := newVillage(t, []string{"here", "there"})
	here, there := v.neighbours["here"], v.neighbours["there"]
	init := snippet{page: "README.md", begins: "moot init"}
	command, _, _ := strings.Cut(init.lines(t)[0], " && ")
	v.shell(here, 0, []string{command})
	v.run(here, []string{".moot", "--mdns=false"})
	here.peers[".moot"].waitReady()
	id := `$(moot ledger account history bob --json | jq -r '.transactions[0].id')`
	v.try(here, snippet{page: "README.md", begins: "moot init", omit: []string{"moot init", "moot invite"}, put: []string{"tx ID", "tx " + id}, wants: []string{"proven"}})
	invite := snippet{page: "docs/membership.md", begins: "moot init --network harbour", omit: []string{"moot init"}}
	v.try(here, invite)
	line := strings.TrimSpace(v.shell(here, 0, []string{"moot invite 2>/dev/null"}))
	v.try(there, snippet{page: "docs/membership.md", begins: "moot join moot-invite", put: []string{"moot-invite-1.AQB…", line + " --yes --run=false"}, wants: []string{"town"}})
	v.run(there, []string{".moot", "--mdns=false"})
	there.peers[".moot"].waitReady()
	meet(t, here.peers[".moot"], there.peers[".moot"])
	v.try(here, snippet{page: "docs/tracing.md", begins: "go tool pprof", before: "MOOT_TOKEN=none", omit: []string{"go tool pprof", "curl -H"}, wants: []string{"goroutine"}})
}
