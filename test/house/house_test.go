package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRulesReportViolations shows, rule by rule, a tree that breaks it and what is reported, and one that keeps it.
func TestRulesReportViolations(t *testing.T) {
	const module = "github.com/folkmoot/folkmoot"
	tests := []struct {
		name  string
		files map[string]string
		want  []string // none: the tree is fine
	}{
		{
			name:  "a lower layer imports a higher one",
			files: map[string]string{"swarm/a.go": "// Package swarm x.\npackage swarm\n\nimport _ \"" + module + "/records\"\n"},
			want:  []string{"swarm/a.go:4: swarm may not import records"},
		},
		{
			name: "siblings import one another",
			files: map[string]string{
				"discovery/a.go":   "// Package discovery x.\npackage discovery\n\nimport _ \"" + module + "/routing\"\n",
				"routing/x/a.go":   "// Package x x.\npackage x\n\nimport _ \"" + module + "/discovery/dns\"\n",
				"discovery/b.go":   "package discovery\n\nimport _ \"" + module + "/swarm/rpc\"\n",
				"discovery/dns.go": "package discovery\n\nimport _ \"" + module + "/discovery/dns\"\n",
			},
			want: []string{
				"discovery/a.go:4: discovery may not import routing",
				"routing/x/a.go:4: routing may not import discovery/dns",
			},
		},
		{
			name: "the client needs only the documents",
			files: map[string]string{
				"api/client/a.go": "// Package client x.\npackage client\n\nimport (\n\t_ \"" + module + "/api/v1\"\n\t_ \"" + module + "/api\"\n)\n",
				"api/a.go":        "// Package api x.\npackage api\n\nimport _ \"" + module + "/records\"\n",
			},
			want: []string{
				"api/a.go:4: api may not import records",
				"api/client/a.go:6: api/client may not import api",
			},
		},
		{
			name:  "tests may import what they like",
			files: map[string]string{"swarm/a_test.go": "package swarm\n\nimport (\n\t_ \"" + module + "/records\"\n\t_ \"github.com/libp2p/go-libp2p\"\n)\n"},
		},
		{
			name:  "a conformance suite may import testing",
			files: map[string]string{"routing/routingtest/a.go": "// Package routingtest x.\npackage routingtest\n\nimport _ \"testing\"\n"},
		},
		{
			name:  "a folder without a layer",
			files: map[string]string{"extra/a.go": "// Package extra x.\npackage extra\n"},
			want:  []string{"extra/a.go: the folder extra has no layer in the rules"},
		},
		{
			name: "libp2p's implementations outside the swarm",
			files: map[string]string{
				"records/a.go": "// Package records x.\npackage records\n\nimport (\n" +
					"\t_ \"github.com/libp2p/go-libp2p/core/host\"\n" +
					"\t_ \"github.com/libp2p/go-libp2p\"\n" +
					"\t_ \"github.com/libp2p/go-libp2p/p2p/host/eventbus\"\n" +
					"\t_ \"github.com/libp2p/go-libp2p/p2p/discovery/mdns\"\n)\n",
				"swarm/a.go":          "// Package swarm x.\npackage swarm\n\nimport _ \"github.com/libp2p/go-libp2p/p2p/net/swarm\"\n",
				"discovery/mdns/a.go": "// Package mdns x.\npackage mdns\n\nimport _ \"github.com/libp2p/go-libp2p/p2p/discovery/mdns\"\n",
			},
			want: []string{
				"records/a.go:6: records may not import github.com/libp2p/go-libp2p: implementations of libp2p are built in one place",
				"records/a.go:7: records may not import github.com/libp2p/go-libp2p/p2p/host/eventbus: implementations of libp2p are built in one place",
				"records/a.go:8: records may not import github.com/libp2p/go-libp2p/p2p/discovery/mdns: libp2p's mDNS is a finder's business",
			},
		},
		{
			name: "other modules have their place",
			files: map[string]string{
				"node/a.go": "// Package node x.\npackage node\n\nimport (\n" +
					"\t_ \"github.com/cockroachdb/pebble/v2\"\n" +
					"\t_ \"github.com/danielgtaylor/huma/v2\"\n" +
					"\t_ \"github.com/libp2p/go-libp2p-kad-dht\"\n" +
					"\t_ \"github.com/spf13/cobra\"\n" +
					"\t_ \"log\"\n" +
					"\t_ \"testing\"\n)\n",
			},
			want: []string{
				"node/a.go:5: node may not import github.com/cockroachdb/pebble/v2: the disk belongs to the record store and the ledger's state",
				"node/a.go:6: node may not import github.com/danielgtaylor/huma/v2: HTTP stays at the boundary",
				"node/a.go:7: node may not import github.com/libp2p/go-libp2p-kad-dht: Kademlia is one of several routers",
				"node/a.go:8: node may not import github.com/spf13/cobra: the command line stays at the boundary",
				"node/a.go:9: node may not import log: logging is by a *slog.Logger handed in",
				"node/a.go:10: node may not import testing: what tests need stays out of the program",
			},
		},
		{
			name:  "the ledger is pure",
			files: map[string]string{"ledger/a.go": "// Package ledger x.\npackage ledger\n\nimport _ \"github.com/libp2p/go-libp2p/core/peer\"\n"},
			want:  []string{"ledger/a.go:4: ledger may not import github.com/libp2p/go-libp2p/core/peer: the ledger knows nothing of networks"},
		},
		{
			name: "package comments",
			files: map[string]string{
				"fault/a.go": "package fault\n",
				"swarm/a.go": "// Package swarm x.\npackage swarm\n",
				"swarm/b.go": "// Package swarm y.\npackage swarm\n",
			},
			want: []string{
				"fault: the package has no comment",
				"swarm/b.go:1: a second package comment; the first is in swarm/a.go",
			},
		},
		{
			name: "init functions and loggers in package variables",
			files: map[string]string{
				"fault/a.go": "// Package fault x.\npackage fault\n\nimport \"log/slog\"\n\nvar log = slog.New(nil)\n\nfunc init() {}\n\n" +
					"func f(l *slog.Logger) {\n\tslog.Info(\"x\")\n\tl.Info(\"x\")\n}\n",
				"swarm/a.go": "// Package swarm x.\npackage swarm\n\nimport \"log/slog\"\n\nvar f = func() *slog.Logger { return slog.New(nil) }\n\n" +
					"type t struct{}\n\nfunc (t) init() {}\n",
			},
			want: []string{
				"fault/a.go:6: a logger in a package variable: hand it in",
				"fault/a.go:8: an init function: wire it where it is used",
				"fault/a.go:11: slog.Info uses the default logger: use the one handed in",
			},
		},
		{
			name:  "long files",
			files: map[string]string{"fault/a.go": "// Package fault x.\npackage fault\n" + strings.Repeat("\n", 499)},
			want:  []string{"fault/a.go: 501 lines, over the limit of 500: split it"},
		},
		{
			name:  "generated files may be long",
			files: map[string]string{"fault/a.go": "// Code generated by x. DO NOT EDIT.\n\n// Package fault x.\npackage fault\n" + strings.Repeat("\n", 499)},
		},
		{
			name: "text that has no place in the tree",
			files: map[string]string{
				"docs/a.md": "fine\nsee /work/main/x\nTODO\n",
				"docs/b.md": "https://example.org/work/main, frameworks, todo\n",
			},
			want: []string{
				`docs/a.md:2: "/work/main": a path of somebody's machine`,
				`docs/a.md:3: "TODO": unfinished work is finished or left out`,
			},
		},
	}
	rules := Folkmoot()
	rules.Fuzzed = nil
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, tt.files, rules, tt.want) })
	}
}

func TestDecodersNeedFuzzTargets(t *testing.T) {
	rules := Folkmoot()
	rules.Fuzzed = []string{"records", "routing"}
	expect(t, map[string]string{
		"records/a_test.go": "package records\n\nfunc FuzzRecord() {}\n",
		"routing/a_test.go": "package routing\n\nfunc TestRecord() {}\n",
	}, rules, []string{"routing: decodes bytes of others or of the disk, and has no fuzz target"})
}

func TestBrokenGoIsAnError(t *testing.T) {
	root := write(t, map[string]string{"fault/a.go": "package\n"})
	if _, err := Check(root, Folkmoot()); err == nil {
		t.Fatal("a file that does not parse went unnoticed")
	}
}

func TestMostSpecificLayerDecides(t *testing.T) {
	rules := Folkmoot()
	for folder, want := range map[string]string{
		"api": "api", "api/client": "api/client", "api/client/x": "api/client", "api/v1": "api/v1", "api/x": "api", "cmd/moot": "cmd",
	} {
		if got, ok := rules.layer(folder); !ok || got.Folder != want {
			t.Errorf("layer of %s: got %q, want %q", folder, got.Folder, want)
		}
	}
}

// TestRulesNameWhatExists catches rules that went stale with a renamed folder.
func TestRulesNameWhatExists(t *testing.T) {
	rules := Folkmoot()
	folders := slices.Clone(rules.Fuzzed)
	for _, m := range rules.Modules {
		folders = append(folders, m.By...)
	}
	for _, l := range rules.Layers {
		folders = append(folders, l.Folder)
	}
	for _, folder := range folders {
		if info, err := os.Stat(filepath.Join("..", "..", folder)); err != nil || !info.IsDir() {
			t.Errorf("the rules name %s, which is no folder of the tree", folder)
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^module ` + regexp.QuoteMeta(rules.Module) + `$`).Match(mod) {
		t.Errorf("go.mod does not name the module %s", rules.Module)
	}
}

func expect(t *testing.T, files map[string]string, rules Rules, want []string) {
	t.Helper()
	found, err := Check(write(t, files), rules)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range found {
		got = append(got, v.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func write(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
