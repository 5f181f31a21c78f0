package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/test/moottest"
)

// hostileMemos are memos that would break or forge a line if they were written as they are.
var hostileMemos = []string{
	"two\nlines", "forged\r\n2026-01-01 * mine\n    accounts:ann  1000000 EUR\n    accounts:bob  -1000000 EUR", "; date:2001-02-03, x", "quote \" and , comma", `back\slash`, "=HYPERLINK(\"x\")", "-1+1",
	"@x", " +1", "'=1", "(code) | payee", "  two  spaces  ", "\u202eright to left\u2028", "bell\x07", "!", "* x", "date:", "[2026-01-01]", "tag:value", "#", "end comment",
}

// newBusyTown returns a ledger in which everything happens that moves something, with hostile memos.
func newBusyTown(t *testing.T) (*bench, *fakeLedger) {
	t.Helper()
	b, f := newTown(t)
	b.l("asset define A1 --issuer bank --scale 0")
	b.l("asset define WEI --issuer bank --scale 18 --cap 1000")
	if got := b.moot("ledger", "asset", "define", "EUR", "--issuer", "ann", "--scale", "3", "--cap", "7"); got.code != exitDone { // it says that the name is taken
		t.Fatalf("%+v", got)
	}
	b.l("issue 12 A1 --to bob")
	b.l("issue 0.000000000000000003 WEI --to ann")
	b.l("issue 7 EUR@ann --to bob")
	b.l("retire 2 EUR@bank --from ann")
	b.l("transfer 3 EUR@bank --from ann --to ann --memo", "to oneself")
	b.l("transfer 1 EUR@bank --from ann --to " + ledger.AccountID{7}.String())
	b.l("anchor --by ann --note note --digest " + strings.Repeat("00", 32))
	if got := b.moot("ledger", "transfer", "1000", "EUR@bank", "--from", "ann", "--to", "bob", "--memo", "failed;\nfailed"); got.code != exitConflict {
		t.Errorf("%+v", got)
	}
	b.lFails(exitConflict, "asset define EUR --issuer bank --scale 5", "did nothing")
	for _, memo := range hostileMemos {
		b.l("transfer 0.01 EUR@bank --from ann --to bob --memo", memo)
	}
	path := filepath.Join(t.TempDir(), "swap.json")
	b.l("tx new "+path, "--transfer", "1 EUR@bank ann bob", "--transfer", "2 A1@bank bob ann", "--transfer", "0.5 EUR@ann bob bank")
	for _, name := range []string{"ann", "bob"} {
		b.l("tx sign " + path + " --as " + name)
	}
	b.l("tx submit " + path)
	return b, f
}

func TestLedgerExport(t *testing.T) {
	b, f := newBusyTown(t)
	out := filepath.Join(t.TempDir(), "out")
	contains(t, b.l("export --output", out), "of 4 accounts up to block")
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.l("export"); got != string(data) {
		t.Error("standard output and --output differ")
	}
	rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(data), "\n"); lines != len(rows) {
		t.Errorf("%d lines for %d rows", lines, len(rows))
	}
	if got := strings.Join(rows[0], ","); got != "time,height,id,operation,kind,asset,amount,from,to,memo,applied" {
		t.Error(got)
	}
	height, failed := "", 0
	for _, row := range rows[1:] {
		if len(height) > len(row[1]) || len(height) == len(row[1]) && height > row[1] {
			t.Errorf("block %s after %s", row[1], height)
		}
		height = row[1]
		if row[10] == "false" {
			failed++
		}
		for _, c := range row {
			if strings.ContainsAny(c, "\n\r") || c != "" && strings.ContainsRune("=+-@", rune(c[0])) {
				t.Errorf("cell %q", c)
			}
		}
	}
	if failed != 2 || height != fmt.Sprint(f.store.Tip().Height) {
		t.Errorf("%d failed, last %s of %d", failed, height, f.store.Tip().Height)
	}
	contains(t, string(data), ",issue,EUR@"+b.id("bank")+",100.00,", ",issue,WEI@"+b.id("bank")+",0.000000000000000003,", `two\nlines`, `,'-1+1,`, `"'=HYPERLINK(""x"")"`, `,7.000,`, `\u202eright`)

	var entries []v1.CommittedTransaction
	for line := range strings.Lines(b.l("export ann bob bank op --format jsonl")) {
		var entry v1.CommittedTransaction
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	if len(entries) != int(f.store.Tip().Height) || entries[0].Height != 1 {
		t.Errorf("%d transactions of %d", len(entries), f.store.Tip().Height)
	}
	for _, memo := range hostileMemos {
		if !slices.ContainsFunc(entries, func(e v1.CommittedTransaction) bool { return e.Transaction.Memo == memo }) {
			t.Errorf("the memo %q is missing", memo)
		}
	}
	var s historiesSummary
	b.read(&s, "export bob --json --output", out)
	if s.Transactions >= len(entries) || !s.Complete || s.Height != f.store.Tip().Height || len(s.Accounts) != 1 {
		t.Errorf("%+v", s)
	}
	b.lFails(exitUsage, "export --json", "--output")
	b.lFails(exitUsage, "export --format xml", "csv, jsonl or hledger")
	b.lFails(exitNotFound, "export nobody", "nobody")
}

// Histories are complete over all pages.
func TestLedgerExportPages(t *testing.T) {
	const lines = 2*v1.MaxHistory + 1
	b, _ := newTown(t)
	list := []string{"to,amount,asset,memo"}
	for i := range lines {
		list = append(list, fmt.Sprintf("bob,0.01,EUR,line %d", i))
	}
	b.l("import --from ann --concurrency 16", writeList(t, list...))
	got := b.l("export bob --format jsonl")
	if n := strings.Count(got, "\n"); n != lines {
		t.Errorf("%d transactions, want %d", n, lines)
	}
	for i := range lines {
		if n := strings.Count(got, fmt.Sprintf(`"memo":"line %d"`, i)); n != 1 {
			t.Errorf("line %d is there %d times", i, n)
		}
	}
}

// TestLedgerExportHledger compares what hledger makes of the journal with the balances that the ledger tells.
func TestLedgerExportHledger(t *testing.T) {
	hledger, err := exec.LookPath("hledger")
	if err != nil {
		const gap = "GAP: hledger is not installed: nobody reads the journals that moot ledger export writes"
		if !moottest.GapsAllowed() {
			t.Fatal(gap)
		}
		t.Skip(gap)
	}
	b, _ := newBusyTown(t)
	path := filepath.Join(t.TempDir(), "town.journal")
	b.l("export --format hledger --output", path)
	read := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(hledger, append([]string{"-f", path}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			journal, _ := os.ReadFile(path)
			t.Fatalf("hledger %q: %v: %s\n%s", args, err, out, journal)
		}
		return string(out)
	}
	read("check")
	for _, name := range []string{"ann", "bob", "bank", "op"} {
		var doc balancesDocument
		b.read(&doc, "balances --json "+name)
		var want []string
		for _, balance := range doc.Balances {
			code, issuer, _ := strings.Cut(balance.Asset, "@")
			symbol := code
			switch {
			case code == "EUR": // of which there are two
				symbol = `"EUR@` + issuer + `"`
			case code == "A1":
				symbol = `"A1"`
			}
			want = append(want, amountText(balance.Amount, balance.Scale)+" "+symbol)
		}
		slices.Sort(want)
		rows, err := csv.NewReader(strings.NewReader(read("balance", "-O", "csv", "--layout", "bare", "accounts:"+name+"$"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range rows[1:] {
			if row[0] != "accounts:"+name || row[2] == "0" || strings.Trim(row[2], "0.") == "" {
				continue
			}
			symbol := row[1]
			if strings.ContainsAny(symbol, "@0123456789") {
				symbol = `"` + symbol + `"`
			}
			got = append(got, row[2]+" "+symbol)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: hledger has %q, the ledger %q", name, got, want)
		}
	}
	// One entry for each transaction that moved something, and no account but those that there are.
	journal, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for line := range strings.Lines(string(journal)) {
		if strings.HasPrefix(line, "20") {
			entries++
		}
	}
	if want := 1 + 3 + 1 + 2 + len(hostileMemos) + 1; entries != want {
		t.Errorf("%d entries, want %d:\n%s", entries, want, journal)
	}
	if got := len(strings.Fields(read("accounts"))); got != 4+4 {
		t.Errorf("%d accounts: %s", got, read("accounts"))
	}
	contains(t, read("accounts"), "issued:EUR@bank", "issued:EUR@ann", "accounts:"+ledger.AccountID{7}.String())
	contains(t, read("balance", "-N", "issued:EUR@bank"), "-98.00")
	contains(t, string(journal), "; it did nothing: ", `; memo: failed\x3b\nfailed`)
}

// TestExportOfAnHeir: what came before the ledger that goes on from another one is not in its blocks.
func TestExportOfAnHeir(t *testing.T) {
	b, f := newTown(t)
	g, err := ledger.NewSuccessor(ledger.Predecessor{Genesis: f.genesis, Height: 7, Block: ledger.Hash{7}, State: ledger.Hash{8}}, f.genesis.Created, f.genesis.Limits, f.genesis.Validators)
	if err != nil {
		t.Fatal(err)
	}
	f.genesis = g
	var s historiesSummary
	got := b.moot("ledger", "export", "--json", "--output", filepath.Join(t.TempDir(), "out"))
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil || got.code != exitIncomplete || s.Complete || !strings.Contains(got.err, "goes on from another one") {
		t.Errorf("%+v, %v", got, err)
	}
}
