package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/cmd/moot/internal/payments"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// writeList writes a list of payments, a line each.
func writeList(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.csv")
	rewriteList(t, path, lines...)
	return path
}

func rewriteList(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// imported runs an import that ends with code, and returns its summary.
func (b *bench) imported(code int, args ...string) (s paymentSummary) {
	b.t.Helper()
	got := b.moot(append([]string{"ledger", "import", "--json"}, args...)...)
	if got.code != code {
		b.t.Fatalf("exit %d, want %d: %s", got.code, code, got.err)
	}
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil {
		b.t.Fatalf("%v: %s", err, got.stdout)
	}
	return s
}

// memos counts the transactions of an account that were applied, by their memos.
func (b *bench) memos(account string) map[string]int {
	b.t.Helper()
	var h v1.History
	b.read(&h, "account history "+account+" --json --limit 100000")
	memos := make(map[string]int)
	for i := range h.Transactions {
		if t := &h.Transactions[i]; t.Applied && t.Transaction.Operations[0].Kind == "transfer" {
			memos[t.Transaction.Memo]++
		}
	}
	return memos
}

func TestLedgerImport(t *testing.T) {
	b, f := newTown(t)
	b.l("asset define GOLD --issuer bank --scale 3")
	b.l("issue 5 GOLD --to bob")
	list := writeList(t, "\ufeffamount, memo ,to,asset,from", `1.50,"rent, May",bob,EUR,`, `2,,`+b.id("bank")+`,EUR@bank,`, "", `0.001,,ann,GOLD,bob`)
	if s := b.imported(exitDone, list, "--from", "ann"); !s.Complete || s.Lines != 3 || s.Paid != 3 || s.PaidNow != 3 || s.Failed != 0 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
	contains(t, b.l("balances ann"), "96.50 EUR", "0.001 GOLD")
	contains(t, b.l("account history bob"), "memo: rent, May")
	height := f.store.Tip().Height
	contains(t, b.l("import --from ann", list), "paid 3 of 3 lines, 0 of them now")
	if f.store.Tip().Height != height {
		t.Error("a list that is paid was paid again")
	}
	b.lFails(exitConflict, "import --from bob "+list, "names or options stand for something else")
	rewriteList(t, list, "to,amount,asset", "bob,1,EUR")
	b.lFails(exitConflict, "import --from ann "+list, "changed since", "--state")
	b.l("import --from ann --state", list+".second", list)
	contains(t, b.l("balances ann"), "95.50 EUR")

	bare := writeList(t, "to,amount", "bob,1", "bob,1")
	got := b.moot("ledger", "import", bare, "--asset", "EUR", "--from", ledger.AccountID{7}.String())
	if got.code != exitNotFound || !strings.Contains(got.err, "no key of") {
		t.Errorf("%+v", got)
	}
	b.l("import --from ann --asset EUR", bare)
	contains(t, b.l("balances ann"), "93.50 EUR")
}

func TestLedgerImportChecksFirst(t *testing.T) {
	b, f := newTown(t)
	height := f.store.Tip().Height
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"nobody,1,EUR,", []string{":3:", "nobody", "nothing was sent"}},
		{"bob,1.234,EUR,", []string{":3:", "3 places"}},
		{"bob,1e3,EUR,", []string{":3:", "not an amount"}},
		{"bob,-1,EUR,", []string{":3:", "not an amount"}},
		{"bob,0,EUR,", []string{":3:", "is nothing"}},
		{"bob,1,USD,", []string{":3:", "USD@ISSUER"}},
		{"bob,1,USD@bank,", []string{":3:", "no asset"}},
		{"bob,1,,", []string{":3:", "--asset"}},
		{",1,EUR,", []string{":3:", "who gets it is missing"}},
		{"bob,1,EUR", []string{":3:", "wrong number of fields"}},
		{`bob,1,EUR,"x`, []string{":3:", `"`}},
		{"bob,1,EUR," + strings.Repeat("x", 129), []string{":3:", "129 bytes"}},
		{"bob,1,EUR,\xff", []string{":3:", "UTF-8"}},
	} {
		tt.want[0] = strings.Replace(tt.want[0], ":3:", "list.csv:3", 1)
		for i, part := range tt.want {
			tt.want[i] = strings.Replace(part, "who gets it is missing", "that gets it is missing", 1)
		}
		b.lFails(exitUsage, "import --from ann "+writeList(t, "to,amount,asset,memo", "bob,1,EUR,", tt.line), tt.want...)
	}
	for header, want := range map[string]string{"to,amount,frob": "frob", "to,asset": "amount", "to,amount,to": "twice", "": "empty"} {
		b.lFails(exitUsage, "import --from ann "+writeList(t, header), want)
	}
	list := writeList(t, "to,amount,asset", "bob,1,EUR", "nobody,1,EUR", "bob,1.001,EUR")
	got := b.moot("ledger", "import", list, "--from", "ann")
	if got.code != exitUsage || !strings.Contains(got.err, "list.csv:3, the first of 2") || !strings.Contains(got.err, "list.csv:4: ") {
		t.Errorf("%+v", got)
	}
	b.lFails(exitUsage, "import "+writeList(t, "to,amount,asset", "bob,1,EUR"), "nor does --from")
	b.lFails(exitUsage, "import --from ann --concurrency 0 "+list, "--concurrency")
	b.lFails(exitUsage, "import --from ann --valid-for 2h "+list, "--valid-for")
	b.lFails(exitFailed, "import --from ann "+list+"-none", "no such file")
	if f.store.Tip().Height != height {
		t.Error("something was sent")
	}
}

func TestLedgerImportFailures(t *testing.T) {
	b, _ := newTown(t)
	list := writeList(t, "to,amount,asset,memo", "bob,60,EUR,a", "bob,150,EUR,b", "bob,5,EUR,c")
	s := b.imported(exitConflict, list, "--from", "ann")
	if s.Paid != 2 || s.Failed != 1 || len(s.Failures) != 1 || s.Failures[0].Line != 3 || s.Failures[0].Height == 0 {
		t.Errorf("%+v", s)
	}
	got := b.moot("ledger", "import", list, "--from", "ann")
	if got.code != exitConflict || !strings.Contains(got.err, "list.csv:3: transaction "+s.Failures[0].Transaction) || !strings.Contains(got.err, "--retry-failed") {
		t.Errorf("%+v", got)
	}
	b.imported(exitConflict, list, "--from", "ann", "--retry-failed")
	b.l("issue 200 EUR --to ann")
	b.imported(exitConflict, list, "--from", "ann") // without being told to, it does not try again
	if s := b.imported(exitDone, list, "--from", "ann", "--retry-failed"); !s.Complete || s.PaidNow != 1 {
		t.Errorf("%+v", s)
	}
	contains(t, b.l("balances ann"), "85.00 EUR")
	contains(t, b.l("balances bob"), "215.00 EUR")
}

// What a node refuses is in no block, as far as that node knows: it is tried again with the same bytes.
func TestLedgerImportRefused(t *testing.T) {
	b, f := newTown(t)
	list := writeList(t, "to,amount,asset,memo", "bob,1,EUR,a")
	f.behave(0, fault.New(fault.Conflict, "operation 1 (transfer): too little"))
	s := b.imported(exitConflict, list, "--from", "ann")
	if s.Failed != 1 || s.Failures[0].Height != 0 || !strings.Contains(s.Failures[0].Failure, "too little") {
		t.Errorf("%+v", s)
	}
	f.behave(0, nil)
	b.imported(exitConflict, list, "--from", "ann")
	id := s.Failures[0].Transaction
	if s = b.imported(exitDone, list, "--from", "ann", "--retry-failed"); !s.Complete {
		t.Errorf("%+v", s)
	}
	contains(t, b.l("tx "+id), "from ann to bob")

	// Refused, and yet in a block, since another node had it: it is found there.
	other := writeList(t, "to,amount,asset,memo", "bob,1,EUR,b")
	f.behave(0, fault.New(fault.Conflict, "too little"))
	b.imported(exitConflict, other, "--from", "ann")
	f.behave(0, nil)
	f.takeKept(t, other)
	if s = b.imported(exitDone, other, "--from", "ann"); !s.Complete {
		t.Errorf("%+v", s)
	}
	if got := b.memos("bob"); got["a"] != 1 || got["b"] != 1 {
		t.Errorf("%v", got)
	}
}

// kept returns the transactions in the journal of a list.
func kept(t *testing.T, list string) (sent [][]byte) {
	t.Helper()
	data, err := os.ReadFile(list + journalSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var step struct{ Sent []payments.Sent }
		if err := json.Unmarshal([]byte(line), &step); err != nil {
			t.Fatal(err)
		}
		for _, s := range step.Sent {
			sent = append(sent, s.Transaction)
		}
	}
	return sent
}

// takeKept carries out what is in the journal of a list, as if it had been under way.
func (f *fakeLedger) takeKept(t *testing.T, list string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, data := range kept(t, list) {
		if _, err := f.take(data); err != nil {
			t.Fatal(err)
		}
	}
}

// A transaction that was sent and whose time is over is made anew only when it is in no block, and the ledger's time says that it never will be.
func TestLedgerImportTooLate(t *testing.T) {
	for _, arrived := range []bool{false, true} {
		b, f := newTown(t)
		list := writeList(t, "to,amount,asset,memo", "bob,1,EUR,a")
		f.behave(0, fault.New(fault.Internal, "out of order"))
		b.imported(exitFailed, list, "--from", "ann", "--valid-for", "5s")
		f.behave(0, nil)
		if arrived {
			f.takeKept(t, list)
		}
		f.mu.Lock()
		f.ahead = 10 * time.Minute
		f.mu.Unlock()
		b.l("transfer 2 EUR --from ann --to bank --valid-for 20m") // a block of that time
		if s := b.imported(exitDone, list, "--from", "ann", "--valid-for", "20m"); !s.Complete {
			t.Errorf("%+v", s)
		}
		if got, sent := b.memos("bob")["a"], len(kept(t, list)); got != 1 || (sent == 1) != arrived {
			t.Errorf("arrived %v: paid %d times with %d transactions", arrived, got, sent)
		}
	}
}

// TestLedgerImportKilled kills imports at random moments; in the end each line is paid exactly once.
func TestLedgerImportKilled(t *testing.T) {
	const lines = 120
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b, f := newTown(t)
	list := []string{"to,amount,asset,memo"}
	for i := range lines {
		list = append(list, fmt.Sprintf("bob,0.01,EUR,line %d", i))
	}
	path := writeList(t, list...)
	kills, took := 0, 100*time.Millisecond
	for run := 0; ; run++ {
		if run > 200 {
			t.Fatal("it does not come to an end")
		}
		f.mu.Lock()
		f.drop, f.pause = random.IntN(4), 3*time.Millisecond // answers that get lost, and blocks that take their time
		f.mu.Unlock()
		cmd := exec.Command("moot", "ledger", "import", path, "--from", "ann", "--concurrency", fmt.Sprint(1+random.IntN(16)), "--home", b.home, "--api", b.env["MOOT_API"])
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = out, out
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var how os.Signal = os.Kill
		if random.IntN(4) == 0 {
			how = os.Interrupt
		}
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(took))), func() { _ = cmd.Process.Signal(how) })
		err = cmd.Wait()
		timer.Stop()
		out.Close()
		if err == nil {
			t.Logf("done after %d kills, in %s", kills, time.Since(begin))
			break
		}
		if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != -1 && e.ExitCode() != exitSignal+2 {
			text, _ := os.ReadFile(out.Name())
			t.Fatalf("%v: %s", err, text)
		}
		kills++
		took += 10 * time.Millisecond // slow machines come to an end too
		if random.IntN(3) == 0 {      // power was lost: of the last line of the journal not all was on the disk, and none of it was sent
			tear(t, path+journalSuffix, random)
		}
	}
	memos := b.memos("bob")
	for i := range lines {
		if n := memos[fmt.Sprintf("line %d", i)]; n != 1 {
			t.Errorf("line %d was paid %d times", i, n)
		}
	}
	if kills == 0 {
		t.Error("none was killed")
	}
	contains(t, b.l("balances bob"), fmt.Sprintf("%.2f EUR", float64(lines)/100))
	if s := b.imported(exitDone, path, "--from", "ann"); s.Paid != lines || s.PaidNow != 0 {
		t.Errorf("%+v", s)
	}
}

// tear adds a part of a line to a journal.
func tear(t *testing.T, path string, random *rand.Rand) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		const line = `{"sent":[{"line":3,"height":1,"transaction":"AAAA"}]}`
		_, err = f.WriteString(line[:random.IntN(len(line))])
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerImportJournal(t *testing.T) {
	b, _ := newTown(t)
	list := writeList(t, "to,amount,asset", "bob,1,EUR")
	b.l("import --from ann", list)
	path := list + journalSuffix
	_, _, err := payments.OpenJournal(path, payments.Heading{})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var heading payments.Heading
	first, _, _ := strings.Cut(string(data), "\n")
	if err := json.Unmarshal([]byte(first), &heading); err != nil {
		t.Fatal(err)
	}
	held, _, err := payments.OpenJournal(path, heading)
	if err != nil {
		t.Fatal(err)
	}
	b.lFails(exitConflict, "import --from ann "+list, "under way")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), `"sent"`, `"snet"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lFails(exitUsage, "import --from ann "+list, "damaged", "history")
	if err := os.WriteFile(path, []byte("somebody's file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lFails(exitUsage, "import --from ann "+list, "damaged")
	heading.Network = ledger.Hash{1}
	if _, _, err := payments.OpenJournal(list+".new", heading); err != nil {
		t.Fatal(err)
	}
}
