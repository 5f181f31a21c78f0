package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api/apitest"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/settings"
)

func TestWrongUsage(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct{ line, want string }{
		{"ptu k v", "unknown command ptu; did you mean put?"},
		{"ptu k v --file x", "unknown command ptu; did you mean put?"},
		{"frobnicate", `unknown command frobnicate; "moot help" lists the commands`},
		{"put k v --conistency one", "unknown option --conistency; did you mean --consistency?"},
		{"--jsno status", "unknown option --jsno; did you mean --json?"},
		{"get k --frobnicate", "unknown option --frobnicate; see: moot get --help"},
		{"get k -x", "unknown option -x"},
		{"get", "get: want 1 argument, got 0 arguments; usage: moot get KEY"},
		{"get a b", "get: want 1 argument, got 2 arguments; usage: moot get KEY"},
		{"put k", "usage: moot put KEY VALUE | put KEY --file FILE"},
		{"put k v --file x", "got a value and a file"},
		{"put k v --consistency most", `option --consistency: want one, quorum or all, got "most"`},
		{"put k v --ttl soon", `option --ttl: want a duration such as 90s or 24h, got "soon"`},
		{"put k v --ttl", "option --ttl wants a value"},
		{"put k v --if-version x", `option --if-version: x is not a version; "moot get KEY --json" tells it`},
		{"put k v --if-absent --if-version 0000000000000001-00000000000000000000000000000001", "exclude one another"},
		{"rm k --if-version latest", "option --if-version: latest is not a version"},
		{"get k --consistency most", `option --consistency: want one, quorum or all, got "most"`},
		{"run --quota much", `option --quota: want a size such as 500MB or 10GiB, got "much"`},
		{"leave --drain-timeout 0s", "option --drain-timeout: want more than 0 and at most 24h0m0s, got 0s"},
		{"ls --limit many", `option --limit: want a whole number, got "many"`},
		{"ls --long=maybe", `option --long: want true or false, got "maybe"`},
		{"find nobody", "nobody is not a peer id"},
		{"ping /ip4/x", "/ip4/x is not a multiaddr; write it like /ip4/"},
		{"ping " + apitest.Other + " -c 0", "option --count: want 1 to 10000, got 0"},
		{"get k --timeout 0s", "option --timeout: 0s is not more than 0"},
		{"get k --api ftp://x", "http://HOST:PORT"},
		{"import x --concurrency 0", "option --concurrency: want 1 to 1024, got 0"},
		{"import - --resume", "--state"},
		{"import x --format csv", "option --format: want auto, jsonl or tsv"},
		{"completion tcsh", `want bash, zsh, fish or powershell, got "tcsh"`},
		{"completion", "usage: moot completion"},
		{"help frobnicate", "unknown command frobnicate"},
		{"shell --json", "no --json"},
		{"init --open", "no network was named; say: moot init --network NAME, or --genesis FILE"},
		{"init --genesis g.json --open", "leave --open and --validators out"},
		{"init --network town --open --validators v.json", "an open network has no ledger"},
		{"run", `"moot run --network NAME --open"`},
		{"run --network town", "say --open"},
		{"run --listen 0.0.0.0:4242", `option --listen: "0.0.0.0:4242" is not a multiaddr; write it like /ip4/0.0.0.0/tcp/4242`},
		{"run --bootstrap x", `option --bootstrap: "x" is not a multiaddr; write it like /ip4/`},
		{"run --copies 0", "option --copies: want 1 to "},
		{"run --away-grace 0s", "option --away-grace: want more than 0, got 0s"},
		{"run --api-tls-cert x", "--api-tls-cert and --api-tls-key go together"},
		{"run --log-level loud", "option --log-level: want debug, info, warn or error"},
		{"run --api-tokens never", "option --api-tokens: want auto or require"},
		{"run --api-rate -1", "option --api-rate: want 0 or more, got -1"},
		{"token new ann --scope all", "option --scope: want read, write or admin"},
		{"token new ann --expires -1h", "option --expires: want more than 0"},
		{"demo --peers 0", "option --peers: want 1 to 32, got 0"},
		{"demo --peers 33", "option --peers: want 1 to 32, got 33"},
	} {
		b.fails(exitUsage, strings.Fields(tt.line), tt.want)
	}
}

func TestOnlyTheCommandsThatExist(t *testing.T) {
	var names []string
	for _, cmd := range newRoot(&app{}).Commands() {
		names = append(names, cmd.Name())
	}
	slices.Sort(names)
	want := []string{"backup", "bench", "completion", "demo", "export", "find", "get", "holders", "import", "init", "invite", "join", "leave", "ledger", "ls", "members", "peers", "ping", "provide", "providers", "publish",
		"put", "restore", "rm", "run", "shell", "status", "subscribe", "token", "version", "watch"}
	if !slices.Equal(names, want) {
		t.Errorf("commands %q, want %q", names, want)
	}
}

func TestEveryCommandIsExplained(t *testing.T) {
	b := newBench(t)
	for _, cmd := range newRoot(&app{}).Commands() {
		if cmd.Short == "" || cmd.Example == "" || !strings.Contains(cmd.Example, "moot "+cmd.Name()) {
			t.Errorf("%s: short help %q, example %q", cmd.Name(), cmd.Short, cmd.Example)
		}
		long, short := b.must("help", cmd.Name()), b.must(cmd.Name(), "--help")
		if long != short || !strings.Contains(long, "Examples:") {
			t.Errorf("help %s says:\n%s\n%s --help says:\n%s", cmd.Name(), long, cmd.Name(), short)
		}
	}
}

// TestOptionsMeanOneThing checks that a key of the config file has one type, and that no option's variable is one that
// Kubernetes makes up for a Service called moot or moot-…: MOOT_PORT, MOOT_API_SERVICE_HOST.
func TestOptionsMeanOneThing(t *testing.T) {
	options, err := allOptions(newRoot(&app{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range options.Names() {
		env := settings.EnvName(name)
		if strings.HasSuffix(env, "_PORT") || strings.HasSuffix(env, "_SERVICE_HOST") || strings.Contains(env, "_PORT_") || env == "MOOT_TOKEN" {
			t.Errorf("option --%s: the variable %s means something else", name, env)
		}
	}
}

func TestOptionsFromEverywhere(t *testing.T) {
	b := newBench(t)
	config := filepath.Join(b.home, configFile)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("json: true\ncopies: 3\nlisten:\n  - /ip4/127.0.0.1/tcp/0\n")
	if got := b.must("put", "k", "v"); !strings.HasPrefix(got, "{") {
		t.Errorf("json in the config file: %s", got)
	}
	b.env["MOOT_JSON"] = "false"
	if got := b.must("put", "k", "v"); !strings.HasPrefix(got, "stored") {
		t.Errorf("MOOT_JSON over the config file: %s", got)
	}
	if got := b.must("put", "k", "v", "--json"); !strings.HasPrefix(got, "{") {
		t.Errorf("--json over MOOT_JSON: %s", got)
	}
	write("json: true\n\ncopeis: 3\n")
	b.fails(exitUsage, []string{"get", "k"}, config+`:3: "copeis": unknown option; did you mean "copies"?`)
	write("copies: many\n")
	b.fails(exitUsage, []string{"get", "k"}, config+`:1: "copies": want a whole number, got "many"`)
	b.must("version")
	b.must("help", "get")
	b.must("completion", "bash")
	write("consistency: most\n")
	b.fails(exitUsage, []string{"put", "k", "v"}, config+`:1: "consistency": want one, quorum or all, got "most"`)
	write("")
	b.env["MOOT_CONSISTENCY"] = "most"
	b.fails(exitUsage, []string{"put", "k", "v"}, `variable MOOT_CONSISTENCY: want one, quorum or all, got "most"`)
}

func TestNoHome(t *testing.T) {
	b := newBench(t)
	delete(b.env, "MOOT_HOME")
	b.must("status")
	for _, line := range []string{"run --network town --open", "init --network town --open", "import x"} {
		b.fails(exitUsage, strings.Fields(line), "HOME is not set", "--home or MOOT_HOME")
	}
	b.env["HOME"] = t.TempDir()
	b.must("status")
}

func TestCompletionScripts(t *testing.T) {
	b := newBench(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := b.must("completion", shell); !strings.Contains(got, "moot") {
			t.Errorf("%s: %q", shell, got)
		}
	}
}

func TestCompletions(t *testing.T) {
	b := newBench(t)
	b.must("put", "config/a", "1")
	b.must("put", "config/b", "1")
	for _, tt := range []struct{ line, want string }{
		{"pu|", "publish put"},
		{"find x --via |", "iterative recursive broadcast"},
		{"run --routing b|", "broadcast"},
		{"st|", "status"},
		{"find |", apitest.Other},
		{"ping 12D3|", apitest.Other},
		{"find " + apitest.Other + " |", ""},
		{"get conf|", "config/a config/b"},
		{"put config/b|", "config/b"},
		{"put k v --consistency |", "one quorum all"},
		{"put k v --cons|", "--consistency"},
		{"help ver|", "version"},
		{"completion z|", "zsh"},
		{"import --format t|", "tsv"},
	} {
		args := strings.Split(strings.TrimSuffix(tt.line, "|"), " ")
		got := b.moot(append([]string{cobra.ShellCompRequestCmd}, args...)...)
		var words []string
		for line := range strings.Lines(got.stdout) {
			if word, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); !strings.HasPrefix(word, ":") && strings.HasPrefix(word, args[len(args)-1]) {
				words = append(words, word)
			}
		}
		if strings.Join(words, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.line, words, tt.want)
		}
	}
	b.env["MOOT_API"] = "http://127.0.0.1:1"
	if got := b.moot(cobra.ShellCompRequestCmd, "find", ""); got.code != exitDone || strings.Contains(got.stdout, "12D3") {
		t.Errorf("without a node: %+v", got)
	}
}
