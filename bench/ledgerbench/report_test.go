package ledgerbench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/bench/measure"
	"github.com/folkmoot/folkmoot/fault"
)

// sample is a report in which everything was measured.
func sample() *Report {
	kv := figures(LoadSingle, measure.Result{Operations: 1000, Elapsed: time.Second, CPU: time.Second, P50: 300 * time.Millisecond, P99: 400 * time.Millisecond}, 1)
	single := figures(LoadSingle, measure.Result{Operations: 4010, Failures: 10, Elapsed: time.Second, CPU: 2 * time.Second, P50: 200 * time.Millisecond, P99: 300 * time.Millisecond}, 1)
	single.Generator, single.Blocks, single.Callers, kv.Callers = 70, 10, 2048, 2048
	light := figures(LoadLight, measure.Result{Operations: 100, Elapsed: time.Second, CPU: time.Second, P50: 60 * time.Millisecond}, 1)
	batches := figures(LoadBatch, measure.Result{Operations: 14, Elapsed: time.Second, CPU: 2 * time.Second}, 500)
	return &Report{
		Networks: []*Network{
			{Validators: 4, Accounts: 1000, TransferBytes: 271, Loads: []Figures{single, light, batches},
				Disk:    grown(map[string]int64{"wal": 100}, map[string]int64{"wal": 1100, "state": 2000}, 10),
				CatchUp: &CatchUp{Transfers: 1000, Blocks: 50, Seconds: 0.5, CPU: 120}},
			{Validators: 1, Accounts: 1000, Loads: []Figures{single}},
		},
		KVStore: &kv, Notes: []string{"one failed"},
	}
}

func TestReportSaysEverything(t *testing.T) {
	var out strings.Builder
	if err := sample().Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| one by one                     | 2048    | 4000/s | 500 µs   | 70 µs     | 200 ms | 300 ms | 400               | 4.00           | 0.50          |",
		"| in batches                     | 0       | 7000/s | 286 µs   |",
		"On a node's disk 300 bytes for each of 10 transfers, of which a client sent 271: state 200 wal 100.",
		"A new node caught up with 1000 transfers in 50 blocks within 0.5 s, 2000/s, at 120 µs of its CPU each.",
		"| one by one, CPU of all nodes | ≤ 400 µs | 500 µs   | missed |",
		"| one by one, 8 in flight, p50 | ≤ 100 ms | 60 ms    | met    |",
		"| in batches, rate             | ≥ 8000/s | 7000/s   | missed |",
		"## 1 validator, 1000 accounts",
		"Note: one failed.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not there: %s\nin:\n%s", want, out.String())
		}
	}
	if _, err := json.Marshal(sample()); err != nil {
		t.Error(err)
	}
}

// TestAimsAreForFourValidators: a measurement of others says nothing about them.
func TestAimsAreForFourValidators(t *testing.T) {
	r := sample()
	r.Networks[0].Validators = 7
	if aims := r.Aims(); len(aims) != 0 {
		t.Errorf("got %v", aims)
	}
}

func TestSizes(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"state/a": 10, "state/deep/b": 5, "wal/c": 7} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sizes(dir)
	if err != nil || got["state"] != 15 || got["wal"] != 7 || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestPayers: transfers that were signed before are handed out first, and none twice.
func TestPayers(t *testing.T) {
	p, err := newPayers(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.prepare(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, n := range []int{3, 4, 1} {
		list, err := p.next(n)
		if err != nil || len(list) != n {
			t.Fatalf("%d transfers, want %d: %v", len(list), n, err)
		}
		for _, one := range list {
			if len(one) == 0 || seen[string(one)] {
				t.Error("a transfer is empty, or was there before")
			}
			seen[string(one)] = true
		}
	}
}

func TestConfigsAreChecked(t *testing.T) {
	for _, good := range []Config{Default(), Quick()} {
		good.Program = "moot"
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for name, spoil := range map[string]func(*Config){
		"validators": func(c *Config) { c.Validators = 0 },
		"scale":      func(c *Config) { c.Scale = []int{MaxValidators + 1} },
		"accounts":   func(c *Config) { c.Accounts = []int{1} },
		"none":       func(c *Config) { c.Accounts = nil },
		"duration":   func(c *Config) { c.Duration = 0 },
		"callers":    func(c *Config) { c.Callers = MaxCallers + 1 },
		"batchers":   func(c *Config) { c.Batchers = 0 },
		"batch":      func(c *Config) { c.Batch = maxBatch + 1 },
		"catch-up":   func(c *Config) { c.CatchUp = -1 },
		"program":    func(c *Config) { c.Program = "" },
	} {
		c := Default()
		c.Program = "moot"
		spoil(&c)
		if err := c.Validate(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
