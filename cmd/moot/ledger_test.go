package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// newLedgerBench returns a bench whose node keeps a ledger. The key op is the operator's.
func newLedgerBench(t *testing.T) (*bench, *fakeLedger) {
	t.Helper()
	b := &bench{t: t, home: t.TempDir(), env: make(map[string]string)}
	b.env["MOOT_HOME"] = b.home
	operator, err := ledger.ParseAccountID(strings.TrimSpace(b.must("ledger", "account", "new", "op")))
	if err != nil {
		t.Fatal(err)
	}
	f, url := newFakeLedger(t, operator)
	b.env["MOOT_API"] = url
	return b, f
}

// l runs a command of moot ledger that succeeds; words are separated by spaces.
func (b *bench) l(line string, more ...string) string {
	b.t.Helper()
	return b.must(append(append([]string{"ledger"}, strings.Fields(line)...), more...)...)
}

// lFails runs one that must fail.
func (b *bench) lFails(code int, line string, parts ...string) {
	b.t.Helper()
	b.fails(code, append([]string{"ledger"}, strings.Fields(line)...), parts...)
}

// id returns the id of an account in the home.
func (b *bench) id(name string) string {
	b.t.Helper()
	return b.listed().id(name)
}

type listedAccounts struct {
	Accounts []accountDocument
	Book     map[string]string
}

func (l listedAccounts) id(name string) string {
	for _, a := range l.Accounts {
		if a.Name == name {
			return a.ID.String()
		}
	}
	return l.Book[name]
}

func (b *bench) listed() (l listedAccounts) {
	b.t.Helper()
	b.read(&l, "account list --json")
	return l
}

// read runs a command and reads the document that it prints.
func (b *bench) read(doc any, line string, more ...string) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.l(line, more...)), doc); err != nil {
		b.t.Fatalf("%s: %v", line, err)
	}
}

// contains checks that text has every one of parts in it.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s\nwant in it: %s", text, part)
		}
	}
}

// newTown returns a ledger with a bank that has issued 100.00 EUR to ann, and bob.
func newTown(t *testing.T) (*bench, *fakeLedger) {
	t.Helper()
	b, f := newLedgerBench(t)
	for _, name := range []string{"bank", "ann", "bob"} {
		b.l("account new " + name)
	}
	b.l("asset define EUR --issuer bank")
	b.l("issue 100 EUR --to ann")
	return b, f
}

func TestLedgerMoney(t *testing.T) {
	b, _ := newTown(t)
	contains(t, b.l("transfer 12.5 EUR --from ann --to bob --memo", "rent, May"), "transferred 12.5 EUR@"+b.id("bank"), "from "+b.id("ann")+" to "+b.id("bob"), "block 3")
	contains(t, b.l("balances ann"), "87.50 EUR  EUR@bank")
	contains(t, b.l("account show bob"), b.id("bob"), "name", "12.50 EUR", "its first key")
	var sent v1.CommittedTransaction
	b.read(&sent, "transfer 0.01 EUR@bank --json --from ann --to", b.id("bob"))
	if op := sent.Transaction.Operations[0]; !sent.Applied || op.From != b.id("ann") || op.To != b.id("bob") || op.Asset != "EUR@"+b.id("bank") || op.Amount != "1" {
		t.Errorf("%+v", sent)
	}
	b.l("retire 2.49 EUR --from ann")
	contains(t, b.l("asset show EUR"), "97.51 EUR", "decimal places  2")
	contains(t, b.l("account history ann"), "retire 2.49 EUR@bank of ann", "memo: rent, May", "issue 100.00 EUR@bank to ann")
	contains(t, b.l("block 3"), "transfer 12.50 EUR@bank from ann to bob", "1 transaction")
	contains(t, b.l("tx "+sent.ID), "transfer 0.01 EUR@bank from ann to bob")
	var page v1.History
	b.read(&page, "account history ann --limit 2 --json")
	if len(page.Transactions) != 2 || page.Cursor == "" {
		t.Errorf("%d transactions, cursor %q", len(page.Transactions), page.Cursor)
	}
	b.read(&page, "account history ann --limit 200 --json --cursor "+page.Cursor)
	if len(page.Transactions) != 2 {
		t.Errorf("%d transactions", len(page.Transactions))
	}
	contains(t, b.l("balances bob --asset EUR"), "12.51 EUR")
	contains(t, b.l("balances bank --asset EUR"), "0.00 EUR")
	contains(t, b.l("balances bank"), "nothing")
	contains(t, b.l(""), "town", "voting power", "trust")
	contains(t, b.l("status"), "town")
}

func TestLedgerRefusals(t *testing.T) {
	b, f := newTown(t)
	b.lFails(exitConflict, "transfer 100.01 EUR --from ann --to bob", "operation 1 (transfer): insufficient balance", "did nothing")
	b.lFails(exitConflict, "asset define EUR --issuer bank", "asset exists")
	b.lFails(exitNotFound, "transfer 1 GOLD@bank --from ann --to bob", "no asset GOLD@")
	b.lFails(exitNotFound, "transfer 1 GOLD --from ann --to bob", "whose it is must be said", "book add")
	b.lFails(exitNotFound, "transfer 1 ann --from ann --to bob", "not in the address book")
	b.lFails(exitNotFound, "issue 1 EUR --to carol", "carol is neither", "account list")
	b.lFails(exitConflict, "validators propose "+strings.Repeat("ab", 32)+" 1 --operator ann --by ann", "not an operator")
	b.lFails(exitNotFound, "validators vote "+strings.Repeat("ab", 32)+" --by op", "no such proposal")
	b.lFails(exitNotFound, "tx "+strings.Repeat("ab", 32), "in no block", "may still come")
	b.lFails(exitNotFound, "block 99", "no block 99")
	height := f.store.Tip().Height
	for _, tt := range []struct{ line, want string }{
		{"transfer 1.005 EUR --from ann --to bob", "3 places after the point: this asset has 2"},
		{"transfer -1 EUR --from ann --to bob", "-- before arguments"},
		{"transfer 1e3 EUR --from ann --to bob", "not an amount"},
		{"transfer 0.00 EUR --from ann --to bob", "0.00 is nothing"},
		{"transfer 1 EUR --to bob", "option --from is missing"},
		{"transfer 1 EUR --from ann", "option --to is missing"},
		{"transfer 1 EUR --from EUR --to bob", "stands for the asset"},
		{"transfer 1 EUR --from ann --to moot1qqqq", "not an account"},
		{"transfer 1 eur@bank --from ann --to bob", "want A-Z and 0-9"},
		{"transfer 1 EUR --from ann --to bob --valid-for 61m", "at most 1h"},
		{"transfer 1 EUR --from ann --to bob --valid-for 0s", "more than 0"},
		{"transfer 1 EUR --from ann --to bob --memo " + strings.Repeat("x", 129), "memo of 129 bytes"},
		{"issue 1 EUR", "option --to is missing"},
		{"retire 1 EUR", "option --from is missing"},
		{"asset define eur --issuer bank", "want A-Z and 0-9"},
		{"asset define GOLD", "option --issuer is missing"},
		{"asset define GOLD --issuer bank --scale 19", "--scale: want 0 to 18"},
		{"asset define GOLD --issuer bank --scale 0 --cap 1.5", "--cap"},
		{"asset define GOLD --issuer bank --cap 0", "leave it out"},
		{"asset show", "want 1 argument"},
		{"anchor x", "option --by is missing"},
		{"anchor x --digest 00 --by ann", "want 0 arguments"},
		{"anchor --digest 00 --by ann", "not a hash"},
		{"anchor - --by ann --note " + strings.Repeat("x", 65), "note of 65 bytes"},
		{"account new moot1x", "as the ids of accounts do"},
		{"account new a.b", "letters, digits"},
		{"account new " + strings.Repeat("x", 33), "33 characters"},
		{"account key ../x", "letters, digits"},
		{"account show moot1x", "not an account"},
		{"account history ann --limit 0", "--limit: want 1"},
		{"account history ann --cursor x", "cursor"},
		{"account set-keys ann --key ann", "--threshold: want 1 to 16"},
		{"account set-keys ann --threshold 1", "0 keys"},
		{"account set-keys ann --key ann --key ann --threshold 1", "ascending"},
		{"account set-keys ann --key nobody --threshold 1", "neither a public key"},
		{"account frob", "unknown command frob"},
		{"acount", "did you mean account?"},
		{"acount --frob", "did you mean account?"},
		{"book add x y z", "want 2 arguments"},
		{"book add moot1 ann", "as the ids"},
		{"block 0", "not the height"},
		{"block x", "not the height"},
		{"balances ann --receipt", "option --asset is missing"},
		{"balances ann --since 3", "--receipt too"},
		{"tx x", "not the id"},
		{"tx signn x", "want 1 argument"},
		{"tx signn", "did you mean moot ledger tx sign?"},
		{"tx " + strings.Repeat("zz", 32), "not a hash"},
		{"tx " + strings.Repeat("ab", 32) + " --receipt --since -1", "negative"},
		{"validators propose x 1 --operator ann --by op", "not a public key"},
		{"validators propose " + strings.Repeat("ab", 32) + " -- -1", "no voting power"},
		{"validators propose " + strings.Repeat("ab", 32) + " 1 --by op", "--operator is missing"},
		{"validators propose " + strings.Repeat("ab", 32) + " 1 --operator ann", "--by is missing"},
		{"validators vote x --by op", "not a hash"},
		{"validators vote " + strings.Repeat("ab", 32), "--by is missing"},
		{"verify x", "--genesis FILE or --trust"},
		{"verify x --trust 0:00", "no HEIGHT:HASH"},
		{"verify x --genesis a --trust b", "--genesis FILE or --trust"},
	} {
		b.lFails(exitUsage, tt.line, tt.want)
	}
	if got := f.store.Tip().Height; got != height {
		t.Errorf("%d blocks came of bad input", got-height)
	}
}

func TestLedgerBook(t *testing.T) {
	b, _ := newTown(t)
	ann := b.id("ann")
	b.l("book add friend", ann)
	b.l("book add friend", ann)
	b.lFails(exitConflict, "book add friend "+b.id("bob"), "taken", "book rm friend")
	b.lFails(exitConflict, "book add bob "+ann, "taken")
	b.lFails(exitConflict, "account new friend", "taken")
	b.lFails(exitConflict, "account new ann", "taken")
	b.l("book add euro EUR@bank")
	b.l("transfer 1 euro --from friend --to bob")
	contains(t, b.l("account list"), "ann", "friend", "EUR@"+b.id("bank"), "book")
	contains(t, b.l("book"), "friend", "euro")
	b.l("book rm friend")
	b.lFails(exitNotFound, "book rm friend", "book list")
	b.lFails(exitNotFound, "transfer 1 euro --from friend --to bob", "friend")
	path := filepath.Join(b.home, "accounts", "book.json")
	if err := os.WriteFile(path, []byte(`{"version":1,"entries":{"x":"y"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lFails(exitUsage, "book list", path, `entry "x"`)
}

// The code of an asset is added to the book where it is free, and is never taken from another.
func TestLedgerAssetNames(t *testing.T) {
	b, _ := newTown(t)
	got := b.moot("ledger", "asset", "define", "EUR", "--issuer", "ann", "--scale", "0", "--cap", "1000")
	if got.code != exitDone || !strings.Contains(got.err, "not added to the address book") {
		t.Errorf("%+v", got)
	}
	if book := b.listed().Book; book["EUR"] != "EUR@"+b.id("bank") {
		t.Errorf("%v", book)
	}
	b.lFails(exitConflict, "issue 1001 EUR@ann --to bob", "over the cap")
	contains(t, b.l("asset show EUR@ann"), "at most", "1000 EUR")
}

func TestLedgerKeys(t *testing.T) {
	b, _ := newTown(t)
	b.l("account new ann2")
	key := strings.TrimSpace(b.l("account key ann2"))
	contains(t, b.l("account set-keys ann --threshold 1 --key", key), b.id("ann"), "1 of 1")
	b.l("transfer 1 EUR --from ann --to bob")
	contains(t, b.l("account show ann"), key, "1 of 1 key")
	for _, name := range []string{"ann", "ann2"} {
		path := filepath.Join(b.home, "accounts", name+".key")
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	}
	// Two of three, all in the home: one command signs with as many as it takes.
	b.l("account set-keys ann --threshold 2 --key ann --key ann2 --key bob")
	b.l("transfer 1 EUR --from ann --to bob")
	got := b.moot("ledger", "account", "set-keys", "ann", "--threshold", "2", "--key", "ann", "--key", strings.Repeat("ab", 32))
	if got.code != exitDone || !strings.Contains(got.err, "1 of these keys") {
		t.Errorf("%+v", got)
	}
	b.lFails(exitNotFound, "transfer 1 EUR --from ann --to bob", "2 of the keys", "tx new")
	b.lFails(exitNotFound, "transfer 1 EUR --to bob --from moot1"+strings.TrimPrefix(ledger.AccountID{}.String(), "moot1"), "no key of")
	if err := os.Chmod(filepath.Join(b.home, "accounts", "bob.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.lFails(exitFailed, "transfer 1 EUR --from bob --to ann", "others than its owner can read it")
}

func TestLedgerSealedKeys(t *testing.T) {
	b, _ := newTown(t)
	b.lFails(exitUsage, "account new vault --seal", "no passphrase", "MOOT_PASSPHRASE")
	b.env["MOOT_PASSPHRASE"] = "correct horse"
	b.l("account new vault --seal")
	delete(b.env, "MOOT_PASSPHRASE")
	key := b.l("account key vault")
	b.l("transfer 5 EUR --from ann --to vault")
	b.lFails(exitFailed, "transfer 1 EUR --from vault --to ann", "under a passphrase", "--passphrase-file")
	file := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(file, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lFails(exitFailed, "transfer 1 EUR --from vault --to ann --passphrase-file "+file, "right passphrase?")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.l("transfer 1 EUR --from vault --to ann --passphrase-file", file)
	if err := os.Remove(filepath.Join(b.home, "accounts", "vault.pub")); err != nil {
		t.Fatal(err)
	}
	b.lFails(exitNotFound, "balances vault", "vault.pub is missing")
	if got := b.l("account key vault --passphrase-file", file); got != key {
		t.Errorf("%q, want %q", got, key)
	}
	contains(t, b.l("balances vault"), "4.00 EUR")
}

// An answer that is lost is asked for again, with the same bytes; one that does not come leaves open what happened.
func TestLedgerUncertainty(t *testing.T) {
	b, f := newTown(t)
	f.behave(2, nil)
	b.l("transfer 1 EUR --from ann --to bob")
	contains(t, b.l("balances bob"), "1.00 EUR")
	f.behave(0, fault.New(fault.Unavailable, "no quorum"))
	b.lFails(exitIncomplete, "transfer 1 EUR --from ann --to bob", "may still come into a block until", "no quorum", "moot ledger tx ")
	f.behave(0, fault.New(fault.Full, "too much waits"))
	b.lFails(exitFailed, "transfer 1 EUR --from ann --to bob", "too much waits")
	f.behave(1000, nil)
	got := b.moot("ledger", "transfer", "1", "EUR", "--from", "ann", "--to", "bob", "--timeout", "700ms")
	if got.code != exitIncomplete || !strings.Contains(got.err, "may still come") {
		t.Errorf("%+v", got)
	}
	f.behave(0, nil)
	id := regexp.MustCompile(`[0-9a-f]{64}`).FindString(got.err)
	contains(t, b.l("tx "+id), "transfer 1.00 EUR@bank from ann to bob") // it had happened, once
	contains(t, b.l("balances bob"), "2.00 EUR")
	b.env["MOOT_API"] = "http://127.0.0.1:1"
	b.lFails(exitIncomplete, "transfer 1 EUR --from ann --to bob", "no node answers")
	b.l("account new offline")
	b.l("account list")
}

func TestLedgerAnchorAndReceipts(t *testing.T) {
	b, f := newTown(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var trust v1.Ledger
	b.read(&trust, "status --json")
	var anchored v1.CommittedTransaction
	b.read(&anchored, "anchor --json --by ann --note note", file("contract", "abc"))
	if got := anchored.Transaction.Operations[0].Digest; got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("digest %s", got)
	}
	b.stdin = "abc"
	contains(t, b.l("anchor - --by ann"), "ba7816bf")
	b.l("anchor --by ann --digest", strings.Repeat("00", 32))
	b.lFails(exitFailed, "anchor "+filepath.Join(dir, "none")+" --by ann", "no such file")
	genesis := file("genesis", b.l("genesis"))
	proof := b.l("tx " + anchored.ID + " --receipt")
	receipt := file("receipt", proof)
	b.env["MOOT_API"] = "http://127.0.0.1:1" // verify asks nobody
	contains(t, b.l("verify "+receipt+" --genesis "+genesis), "did what it says", "anchor ba7816bf", "genesis of town", "10 of 10")
	var good proven
	b.read(&good, "verify "+receipt+" --json --genesis "+genesis)
	if good.Transaction == nil || good.Transaction.ID != anchored.ID || good.Network != f.network {
		t.Errorf("%+v", good)
	}
	b.lFails(exitFailed, "verify "+receipt+" --trust "+trust.Trust, "proves nothing", "from the genesis")
	b.lFails(exitFailed, "verify "+file("bad", strings.Replace(proof, `"code": 0`, `"code": 4`, 1))+" --genesis "+genesis, "proves nothing")
	b.lFails(exitFailed, "verify "+file("worse", "{}")+" --genesis "+genesis, "proves nothing")
	b.lFails(exitUsage, "verify "+receipt+" --genesis "+receipt, "--genesis")
	b.lFails(exitFailed, "verify "+receipt+"-not --genesis "+genesis, "no such file")
}

func TestLedgerReceiptsSinceABlock(t *testing.T) {
	b, _ := newTown(t)
	var trust v1.Ledger
	b.read(&trust, "status --json")
	var sent v1.CommittedTransaction
	b.read(&sent, "transfer 1 EUR --from ann --to bob --json")
	height, _, _ := strings.Cut(trust.Trust, ":")
	path := filepath.Join(t.TempDir(), "receipt")
	for line, want := range map[string]string{
		"tx " + sent.ID:            "transfer 100 of the smallest unit of EUR@",
		"balances ann --asset EUR": "had 9900 of the smallest unit",
		"balances op --asset EUR":  "had 0 of the smallest unit",
	} {
		if err := os.WriteFile(path, []byte(b.l(line+" --receipt --since "+height)), 0o600); err != nil {
			t.Fatal(err)
		}
		contains(t, b.l("verify "+path+" --trust "+trust.Trust), want, "whoever trusts block "+height)
		b.lFails(exitFailed, "verify "+path+" --trust "+height+":"+strings.Repeat("ab", 32), "proves nothing", "not from the trusted block")
	}
	b.lFails(exitUsage, "tx "+sent.ID+" --receipt --since 99", "not before")
}

func TestLedgerValidators(t *testing.T) {
	b, f := newTown(t)
	contains(t, b.l("validators"), "10 of 10", "op", f.genesis.Validators[0].Key.String())
	key := strings.Repeat("ab", 32)
	// The only validator's word is enough.
	contains(t, b.l("validators propose "+key+" 10 --operator ann --by op"), "proposed ")
	contains(t, b.l("validators list"), key, "10 of 20", "ann")
	var made proposed
	b.read(&made, "validators propose "+key+" 0 --by op --json") // its operator goes on to speak for it
	contains(t, b.l("validators"), "proposal "+made.Proposal.String(), "power 0 for validator "+key, "op is for it")
	b.lFails(exitConflict, "validators vote "+made.Proposal.String()+" --by op", "voted before")
	b.l("validators vote " + made.Proposal.String() + " --by ann")
	contains(t, b.l("validators"), "10 of 10")
}

func TestLedgerRules(t *testing.T) {
	b, _ := newTown(t)
	contains(t, b.l("rules"), "version 1; the node's program knows versions up to 1")
	b.lFails(exitUsage, "rules propose x --from 100 --by op", "no version of the rules")
	b.lFails(exitUsage, "rules propose 0 --from 100 --by op", "no version of the rules")
	b.lFails(exitUsage, "rules propose 2 --by op", "--from is missing")
	b.lFails(exitUsage, "rules propose 2 --from -1 --by op", "no height")
	b.lFails(exitUsage, "rules propose 2 --from 100", "--by is missing")
	b.lFails(exitConflict, "rules propose 2 --from 100 --by ann", "not an operator")
	b.lFails(exitConflict, "rules propose 2 --from 1 --by op", "too late for these rules")
	b.lFails(exitConflict, "rules propose 1 --from 100 --by op", "too late for these rules")
	// The only validator's word is enough.
	contains(t, b.l("rules propose 2 --from 100 --by op"), "proposed ")
	contains(t, b.l("rules"), "version 1, and version 2 from block 100 on")
	contains(t, b.l("account history op"), "propose version 2 of the rules from block 100 by op")
	contains(t, b.l("status"), "version 2 from block 100 on")
	var r v1.Rules
	b.read(&r, "rules --json")
	if want := (v1.Rules{Version: 1, Known: 1, Next: 2, From: 100}); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
}
