package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
)

// newSwap returns a town in which bob has 3 GOLD, and the file of a transaction in which ann and bob swap.
func newSwap(t *testing.T, options ...string) (*bench, string) {
	t.Helper()
	b, _ := newTown(t)
	b.l("account new mint")
	b.l("asset define GOLD --issuer mint --scale 0")
	b.l("issue 3 GOLD --to bob")
	path := filepath.Join(t.TempDir(), "swap.json")
	args := append([]string{path, "--transfer", "10 EUR@bank ann bob", "--transfer", "3 GOLD@mint bob ann"}, options...)
	contains(t, b.l("tx new", args...), "missing      ann", "missing      bob", "1            transfer 10.00 EUR@bank from ann to bob", "2            transfer 3 GOLD@mint from bob to ann", "ann is "+b.id("ann"))
	return b, path
}

func TestTransactionFile(t *testing.T) {
	b, path := newSwap(t)
	b.lFails(exitUsage, "tx submit "+path, "has not signed", "tx show")
	contains(t, b.l("tx sign --as ann", path), "signed by", "ann (1 of 1)", "missing")
	b.lFails(exitUsage, "tx sign --as bank "+path, "speaks for none of the accounts")
	b.lFails(exitNotFound, "tx sign --as nobody "+path, "no key nobody", "account list")
	b.lFails(exitUsage, "tx submit "+path, "bob has not signed")
	b.l("tx sign --as bob", path)
	b.l("tx sign --as bob", path) // once more changes nothing
	var shown fileDocument
	b.read(&shown, "tx show --json", path)
	if !shown.Complete || len(shown.Missing) != 0 || len(shown.Transaction.Signers) != 2 {
		t.Errorf("%+v", shown)
	}
	contains(t, b.l("tx submit", path), "transaction "+shown.ID)
	contains(t, b.l("tx submit", path), "transaction "+shown.ID) // which is safe
	contains(t, b.l("balances ann"), "90.00 EUR", "3 GOLD")
	contains(t, b.l("balances bob"), "10.00 EUR")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestTransactionFileWithoutANode(t *testing.T) {
	b, path := newSwap(t)
	api := b.env["MOOT_API"]
	b.env["MOOT_API"] = "http://127.0.0.1:1"
	for _, name := range []string{"ann", "bob"} {
		got := b.moot("ledger", "tx", "sign", path, "--as", name)
		if got.code != exitDone || !strings.Contains(got.err, "no node was asked") || !strings.Contains(got.stdout, "of the smallest unit of EUR@bank") {
			t.Errorf("%+v", got)
		}
	}
	contains(t, b.l("tx show", path), "signed by    ann (1 of 1)")
	b.env["MOOT_API"] = api
	b.l("tx submit", path)
}

// One that is signed under keys that were replaced meanwhile can't be signed on.
func TestTransactionFileAfterNewKeys(t *testing.T) {
	b, path := newSwap(t)
	b.l("tx sign --as ann", path)
	b.l("account new ann2")
	b.l("account set-keys ann --key ann2 --threshold 1")
	b.lFails(exitUsage, "tx sign --as ann2 "+path, "signed under other keys")
	b.lFails(exitUsage, "tx sign --as ann "+path, "speaks for none")
	b.l("tx sign --as bob", path)
	b.lFails(exitFailed, "tx submit "+path, "keys that are not those of "+b.id("ann"), "account show")
}

func TestTransactionFileOfTwoKeys(t *testing.T) {
	b, path := newSwap(t)
	b.l("account new ann2")
	b.l("account set-keys ann --key ann --key ann2 --threshold 2")
	b.l("tx sign --as bob", path)
	contains(t, b.l("tx sign --as ann2", path), "ann (1 of 2)")
	b.lFails(exitUsage, "tx submit "+path, "ann has not signed, or not with enough keys")
	contains(t, b.l("tx sign --as ann", path), "ann (2 of 2)")
	b.l("tx submit", path)
}

func TestTransactionFileWithASlot(t *testing.T) {
	b, path := newSwap(t, "--slot", "ann:3", "--valid-for", "720h", "--memo", "swap")
	contains(t, b.l("tx show", path), "slot         3 of ann, which 0 have used before", "memo         swap")
	b.l("tx sign --as ann", path)
	b.l("tx sign --as bob", path)
	// It is called back by using the slot for something else.
	other := path + "2"
	b.l("tx new", other, "--transfer", "1 EUR ann bob", "--slot", "ann:3")
	b.l("tx sign --as ann", other)
	b.l("tx submit", other)
	b.lFails(exitConflict, "tx submit "+path, "slot 3", "used 1 times, not 0")
	contains(t, b.l("account show ann"), "slot 3", "used 1 time")
}

func TestTransactionFilesThatAreNone(t *testing.T) {
	b, path := newSwap(t)
	b.l("tx sign --as ann", path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for text, want := range map[string]string{
		"":                  "is not one",
		"{}":                "network",
		string(good) + "{}": "something follows it",
		`{"x":1}`:           "unknown field",
		strings.Replace(string(good), `"1000"`, `"1001"`, 1):        "not by its key",
		strings.Replace(string(good), `"key": 0`, `"key": 1`, 1):    "by key 1",
		strings.Replace(string(good), `"transfer"`, `"transfr"`, 1): "no kind of operation",
	} {
		for _, line := range []string{"tx show ", "tx submit ", "tx sign --as bob "} {
			b.lFails(exitUsage, line+bad("file", text), want)
		}
	}
	other, _ := newTown(t)
	other.lFails(exitConflict, "tx sign --as ann "+path, "is of the network")
	for _, tt := range []struct {
		code int
		line []string
		want string
	}{
		{exitUsage, []string{"new", path + "x"}, "no operations"},
		{exitUsage, []string{"new", "-", "--issue", "1 EUR ann"}, "file of its own"},
		{exitConflict, []string{"new", path, "--issue", "1 EUR ann"}, "is there already"},
		{exitUsage, []string{"new", path + "x", "--issue", "1 EUR"}, `want "AMOUNT ASSET TO"`},
		{exitUsage, []string{"new", path + "x", "--transfer", "1.001 EUR ann bob"}, "this asset has 2"},
		{exitNotFound, []string{"new", path + "x", "--retire", "1 EUR nobody"}, "nobody"},
		{exitUsage, []string{"new", path + "x", "--operation", "{"}, "no document of an operation"},
		{exitUsage, []string{"new", path + "x", "--operation", `{"kind":"vote"}`}, "--operation"},
		{exitUsage, []string{"new", path + "x", "--retire", "1 EUR ann", "--slot", "ann:16"}, "0 to 15"},
		{exitUsage, []string{"new", path + "x", "--retire", "1 EUR ann", "--slot", "bob:1"}, "nothing to sign"},
		{exitUsage, []string{"new", path + "x", "--retire", "1 EUR ann", "--valid-for", "2h"}, "at most 1h"},
		{exitUsage, []string{"sign", path}, "--as is missing"},
		{exitUsage, []string{"sign", "-", "--as", "ann"}, "must be in a file"},
		{exitFailed, []string{"show", path + "x"}, "no such file"},
	} {
		b.fails(tt.code, append([]string{"ledger", "tx"}, tt.line...), tt.want)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(good) {
		t.Errorf("the file was changed: %v", err)
	}
	b.l("tx new", path+"x", "--operation", `{"kind":"anchor","by":"`+b.id("ann")+`","digest":"`+strings.Repeat("00", 32)+`"}`)
}

// A file that is signed and can't be carried out any more, or not here, is refused with the reason; one that was carried out is not carried out again.
func TestTransactionFilesThatComeToNothing(t *testing.T) {
	b, f := newTown(t)
	dir := t.TempDir()
	signed := func(name string, options ...string) string {
		path := filepath.Join(dir, name)
		b.l("tx new", append([]string{path}, options...)...)
		b.l("tx sign --as ann", path)
		return path
	}
	first, second := signed("first", "--transfer", "60 EUR ann bob"), signed("second", "--transfer", "60 EUR ann bob")
	other, _ := newTown(t)
	other.lFails(exitConflict, "tx submit "+first, "is of the network")
	b.l("tx submit", first)
	b.lFails(exitConflict, "tx submit "+second, "insufficient balance")
	b.l("tx submit", first) // replayed
	contains(t, b.l("balances bob"), "60.00 EUR")

	late := signed("late", "--transfer", "1 EUR ann bob", "--valid-for", "1m")
	f.mu.Lock()
	f.ahead = 2 * time.Minute
	f.mu.Unlock()
	b.lFails(exitUsage, "tx submit "+late, "valid until")
	f.mu.Lock()
	f.ahead = 0
	f.mu.Unlock()

	many := []string{"ledger", "tx", "new", filepath.Join(dir, "many")}
	for range ledger.MaxOperations + 1 {
		many = append(many, "--transfer", "0.01 EUR ann bob")
	}
	b.fails(exitUsage, many, "257 operations")
	b.fails(exitNotFound, []string{"ledger", "tx", "new", filepath.Join(dir, "none"), "--transfer", "1 GOLD@bank ann bob"}, "no asset GOLD@")
	contains(t, b.l("balances bob"), "60.00 EUR")
}

// walk calls f for every command of moot ledger.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		walk(c, f)
	}
}

func TestEveryLedgerCommandIsExplained(t *testing.T) {
	b, _ := newLedgerBench(t)
	root, _, err := newRoot(&app{}).Find([]string{"ledger"})
	if err != nil {
		t.Fatal(err)
	}
	walk(root, func(cmd *cobra.Command) {
		path := strings.Fields(strings.TrimPrefix(cmd.CommandPath(), "moot "))
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) || cmd.ValidArgsFunction == nil {
			t.Errorf("%s: short %q, long %q, example %q, completes: %t", cmd.CommandPath(), cmd.Short, cmd.Long, cmd.Example, cmd.ValidArgsFunction != nil)
		}
		if long, short := b.must(append([]string{"help"}, path...)...), b.must(append(path, "--help")...); long != short {
			t.Errorf("help %s says:\n%s\n--help says:\n%s", cmd.CommandPath(), long, short)
		}
	})
	b.fails(exitUsage, []string{"help", "ledger", "accuont"}, "did you mean account?")
}

func TestLedgerCompletions(t *testing.T) {
	b, _ := newTown(t)
	b.l("book add friend", b.id("ann"))
	for _, tt := range []struct{ line, want string }{
		{"ledger acc|", "account"},
		{"ledger account show |", "ann bank bob op friend"},
		{"ledger account key a|", "ann"},
		{"ledger transfer |", ""},
		{"ledger transfer 1 |", "EUR"},
		{"ledger transfer 1 EUR --from b|", "bank bob"},
		{"ledger transfer 1 EUR --to f|", "friend"},
		{"ledger book rm |", "EUR friend"},
		{"ledger tx s|", "show sign submit"},
		{"ledger tx sign x --as o|", "op"},
		{"help ledger acc|", "account"},
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
}

// What the node says is never taken for what was asked, and never moves the cursor.
func TestLedgerAnswersOfOthers(t *testing.T) {
	tell := &teller{names: noName, scales: make(map[string]int)}
	for _, o := range []v1.Operation{
		{Kind: "transfer", Asset: "\x1b[2J@x", From: "\x1b", To: "\x1b", Amount: "\x1b"}, {Kind: "\x1b"}, {Kind: "anchor", Note: "\x1b"}, {Kind: "admit", Name: "\x1b"},
		{Kind: "propose", Validator: "\x1b"}, {Kind: "define-asset", Asset: "\x1b", Cap: "\x1b", Scale: 255}, {Kind: "set-keys", Keys: []string{"\x1b"}}, {Kind: "retire"}, {Kind: "expel"}, {Kind: "issue"},
	} {
		if text := tell.operation(&o); text == "" && o.Kind != "" || strings.Contains(text, "\x1b") {
			t.Errorf("%+v: %q", o, text)
		}
	}
}
