package bulk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/folkmoot/folkmoot/fault"
)

// memory is a store that notes what is put.
type memory struct {
	mu      sync.Mutex
	records map[string]string // guarded by mu
	puts    int               // guarded by mu
	// before is called before each put, outside mu; its error is the put's.
	before func(ctx context.Context, r Record, put int) error
}

func (m *memory) put(ctx context.Context, r Record) error {
	m.mu.Lock()
	m.puts++
	put := m.puts
	m.mu.Unlock()
	if m.before != nil {
		if err := m.before(ctx, r, put); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = make(map[string]string)
	}
	m.records[r.Key] = string(r.Value)
	return nil
}

func checkKey(r Record) error {
	if r.Key == "" {
		return fault.New(fault.Invalid, "the key is empty")
	}
	return nil
}

func (m *memory) config() Config {
	return Config{Put: m.put, Check: checkKey, Format: Auto, Concurrency: 8}
}

func (m *memory) wantRecords(t *testing.T, want map[string]string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !maps.Equal(m.records, want) {
		t.Errorf("stored %v, want %v", m.records, want)
	}
}

func TestFormats(t *testing.T) {
	want := map[string]string{"a": "1", "b": "two\twords", "c": "", "d": "\xff"}
	for name, text := range map[string]string{
		"JSON lines": `{"key":"a","value":"1"}` + "\n\n" + `{"key":"b","value":"two\twords","version":"7","author":"x"}` + "\r\n" +
			`{"key":"c","value_base64":""}` + "\n" + `{"value_base64":"/w==","key":"d"}`,
		"tabs":                "\n  \na\t1\nb\ttwo\twords\r\nc\t\nd\t\xff",
		"a byte order mark":   "\xef\xbb\xbfa\t1\nb\ttwo\twords\nc\t\nd\t\xff\n",
		"a later line of key": "a\told\na\t1\nb\ttwo\twords\nc\t\nd\t\xff\n",
	} {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			result, err := Import(t.Context(), strings.NewReader(text), m.config())
			if err != nil || result.At.Offset != int64(len(text)) || result.BadCount != 0 {
				t.Fatalf("%+v, %v", result, err)
			}
			m.wantRecords(t, want)
		})
	}
}

func TestBadLines(t *testing.T) {
	tests := []struct {
		format     Format
		line, want string
	}{
		{TSV, "no tab", "no tab between key and value"},
		{TSV, "\tno key", "the key is empty"},
		{TSV, strings.Repeat("x", MaxLine+1), errLong.Error()},
		{JSONLines, "k\tv", "not the JSON object of a record: invalid character 'k' looking for beginning of value"},
		{JSONLines, `{"key":"k"}`, "neither value nor value_base64"},
		{JSONLines, `{"key":"k","value":null}`, "neither value nor value_base64"},
		{JSONLines, `{"key":"k","value":"v","value_base64":"dg=="}`, "both value and value_base64"},
		{JSONLines, `{"key":"k","value":7}`, `field "value" cannot be a JSON number`},
		{JSONLines, `{"key":"k","valeu":"v"}`, `not the JSON object of a record: json: unknown field "valeu"`},
		{JSONLines, `{"key":"k","value":"v"} x`, "more than one JSON object on the line"},
		{JSONLines, `{"key":"k","value":"v"`, "the JSON object has no end"},
		{JSONLines, "{\"key\":\"k\",\"value\":\"\xff\"}", "not UTF-8; give such values as value_base64"},
		{JSONLines, `{"key":"k","value_base64":"?"}`, "not the JSON object of a record: illegal base64 data at input byte 0"},
	}
	good := map[Format]string{TSV: "good\t1\n", JSONLines: `{"key":"good","value":"1"}` + "\n"}
	for _, tt := range tests {
		m := &memory{}
		cfg := m.config()
		cfg.Format = tt.format
		text := good[tt.format] + tt.line + "\n" + strings.ReplaceAll(good[tt.format], "good", "after")
		result, err := Import(t.Context(), strings.NewReader(text), cfg)
		if want := "line 2: " + tt.want; err == nil || err.Error() != want || fault.KindOf(err) != fault.Invalid {
			t.Errorf("got %v, want %s", err, want)
		}
		if result.BadCount != 1 || result.At.Line != 1 || result.Records != 1 {
			t.Errorf("%.40q: %+v", tt.line, result)
		}
		m.wantRecords(t, map[string]string{"good": "1"})

		cfg.SkipBad = true
		result, err = Import(t.Context(), strings.NewReader(text), cfg)
		if err != nil || result.BadCount != 1 || result.Skipped != 1 || result.Records != 2 || result.At.Line != 3 {
			t.Errorf("skipping %.40q: %+v, %v", tt.line, result, err)
		}
		m.wantRecords(t, map[string]string{"good": "1", "after": "1"})
	}
}

func TestManyBadLines(t *testing.T) {
	text := "a\t1\n" + strings.Repeat("bad\n", 100) + "b\t2\n"
	m := &memory{}
	result, err := Import(t.Context(), strings.NewReader(text), m.config())
	if fault.KindOf(err) != fault.Invalid || result.BadCount != 100 || len(result.Bad) != MaxBadShown {
		t.Fatalf("%d of %d bad lines, %v", len(result.Bad), result.BadCount, err)
	}
	for i, b := range result.Bad {
		if b.Line != int64(i+2) {
			t.Fatalf("bad line %d is line %d", i, b.Line)
		}
	}
	m.wantRecords(t, map[string]string{"a": "1"})
}

// TestLineThatTheStoreRefuses shows that what only the store knows to be bad counts as a bad line.
func TestLineThatTheStoreRefuses(t *testing.T) {
	refuse := func(_ context.Context, r Record, _ int) error {
		if r.Key == "k500" {
			return fault.New(fault.TooLarge, "too large")
		}
		return nil
	}
	text := numbered(100_000)
	m := &memory{before: refuse}
	result, err := Import(t.Context(), strings.NewReader(text), m.config())
	if fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge || result.At.Line > 499 || result.Bad[0].Line != 500 {
		t.Fatalf("%+v, %v", result, err)
	}
	m = &memory{before: refuse}
	cfg := m.config()
	cfg.SkipBad = true
	result, err = Import(t.Context(), strings.NewReader(text), cfg)
	if err != nil || result.Records != 99_999 || result.Skipped != 1 {
		t.Fatalf("%+v, %v", result.Progress, err)
	}
}

// numbered returns n lines: line i puts v<i> under k<i>.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d\tv%d\n", i+1, i+1)
	}
	return b.String()
}

func TestLaterLinesOfAKeyWin(t *testing.T) {
	var b strings.Builder
	want := make(map[string]string)
	for i := range 5000 {
		key := fmt.Sprintf("k%d", i%7)
		want[key] = fmt.Sprint(i)
		fmt.Fprintf(&b, "%s\t%d\n", key, i)
	}
	synctest.Test(t, func(t *testing.T) {
		m := &memory{before: func(context.Context, Record, int) error {
			time.Sleep(rand.N(10 * time.Millisecond))
			return nil
		}}
		if _, err := Import(t.Context(), strings.NewReader(b.String()), m.config()); err != nil {
			t.Fatal(err)
		}
		m.wantRecords(t, want)
	})
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{before: func(_ context.Context, _ Record, put int) error {
			if put%2 == 1 {
				return fault.New(fault.Unavailable, "no quorum")
			}
			return nil
		}}
		cfg := m.config()
		cfg.Concurrency = 1
		result, err := Import(t.Context(), strings.NewReader(numbered(100)), cfg)
		if err != nil || result.Records != 100 || m.puts != 200 {
			t.Fatalf("%d puts, %+v, %v", m.puts, result, err)
		}
	})
}

func TestWhatDoesNotPassEndsTheImport(t *testing.T) {
	for _, tt := range []struct {
		kind fault.Kind
		puts int
	}{{fault.Unavailable, maxAttempts}, {fault.Forbidden, 1}, {fault.Full, 1}, {fault.Internal, 1}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			puts := 0
			m := &memory{before: func(_ context.Context, r Record, put int) error {
				if r.Key == "k10" {
					puts++
					return fault.New(tt.kind, "refused")
				}
				return nil
			}}
			cfg := m.config()
			var saved State
			cfg.Save = func(s State) error { saved = s; return nil }
			result, err := Import(t.Context(), strings.NewReader(numbered(20)), cfg)
			if fault.KindOf(err) != tt.kind || err.Error() != "line 10: refused" || puts != tt.puts {
				t.Fatalf("%s: %d puts of the line, %v", tt.kind, puts, err)
			}
			if result.At.Line > 9 || saved.Progress != result.Progress {
				t.Errorf("%s: result %+v, saved %+v", tt.kind, result.Progress, saved.Progress)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("%s: gave up after %s", tt.kind, took)
			}
		})
	}
}

// TestResumeAfterInterruptions runs an import that is cut short again and again, and checks that nothing is lost
// and that at most what was under way is put twice.
func TestResumeAfterInterruptions(t *testing.T) {
	const n = 2000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	text, want := numbered(n), make(map[string]string)
	for i := range n {
		want[fmt.Sprintf("k%d", i+1)] = fmt.Sprintf("v%d", i+1)
	}
	interrupted := errors.New("interrupted")
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var state State
		runs := 1
		for ; ; runs++ {
			ctx, cancel := context.WithCancelCause(t.Context())
			limit := m.puts + 1 + random.IntN(300)
			m.before = func(ctx context.Context, _ Record, put int) error {
				if put == limit {
					cancel(interrupted)
				}
				return ctx.Err()
			}
			cfg := m.config()
			cfg.From = state
			cfg.Save = func(s State) error {
				b, err := s.encode()
				if err != nil {
					return err
				}
				state, err = decodeState(b)
				return err
			}
			result, err := Import(ctx, strings.NewReader(text), cfg)
			cancel(nil)
			if err == nil {
				if result.Records != n || result.At.Line != n {
					t.Errorf("at the end: %+v", result.Progress)
				}
				break
			}
			if !errors.Is(err, interrupted) || result.Progress != state.Progress {
				t.Fatalf("run %d: %v; at %+v, saved %+v", runs, err, result.Progress, state.Progress)
			}
		}
		m.wantRecords(t, want)
		if most := n + runs*8*(queueLength+2); m.puts > most {
			t.Errorf("%d puts in %d runs, want at most %d", m.puts, runs, most)
		}
	})
}

func TestResumeNeedsTheSameBeginning(t *testing.T) {
	text := "a\t1\nb\t2\nbad\nc\t3\n"
	m := &memory{}
	cfg := m.config()
	cfg.Save = func(s State) error { cfg.From = s; return nil }
	if _, err := Import(t.Context(), strings.NewReader(text), cfg); fault.KindOf(err) != fault.Invalid {
		t.Fatal(err)
	}
	for _, changed := range []string{"a\t1\nb\tX\nb2\t2\nc\t3\n", "a\t1\n", ""} {
		m := &memory{}
		cfg.Put = m.put
		if _, err := Import(t.Context(), strings.NewReader(changed), cfg); fault.KindOf(err) != fault.Conflict || m.puts != 0 {
			t.Errorf("%q: %d puts, %v", changed, m.puts, err)
		}
	}
	mended := &memory{}
	cfg.Put = mended.put
	result, err := Import(t.Context(), strings.NewReader("a\t1\nb\t2\nbad\tno more\nc\t3\nd\t4\n"), cfg)
	if err != nil || result.Records != 5 || result.At.Line != 5 {
		t.Fatalf("%+v, %v", result.Progress, err)
	}
	mended.wantRecords(t, map[string]string{"bad": "no more", "c": "3", "d": "4"})
}

// TestOneSlowLine holds one line up while more follow than the window has room for.
func TestOneSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{before: func(_ context.Context, r Record, _ int) error {
			if r.Key == "k1" {
				time.Sleep(time.Minute)
			}
			return nil
		}}
		cfg := m.config()
		var most int64
		cfg.Report = func(p Progress) { most = max(most, p.Records) }
		go func() {
			time.Sleep(time.Second)
			synctest.Wait()
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.records) > maxAhead {
				t.Errorf("%d records beyond the one under way, want at most %d", len(m.records), maxAhead)
			}
		}()
		n := 2 * maxAhead
		if _, err := Import(t.Context(), strings.NewReader(numbered(n)), cfg); err != nil || most != int64(n) {
			t.Fatalf("%d records, %v", most, err)
		}
	})
}

func TestStateIsSavedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{before: func(context.Context, Record, int) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		}}
		cfg := m.config()
		cfg.Concurrency = 1
		var lines []int64
		cfg.Save = func(s State) error { lines = append(lines, s.Progress.At.Line); return nil }
		if _, err := Import(t.Context(), strings.NewReader(numbered(35)), cfg); err != nil {
			t.Fatal(err)
		}
		if len(lines) != 3 || !slices.IsSorted(lines) || lines[0] < 9 {
			t.Errorf("saved at lines %v, want three times in 3.5 s", lines)
		}
	})
}

func TestStateThatCannotBeKeptEndsTheImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		m := &memory{before: func(context.Context, Record, int) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		}}
		cfg := m.config()
		cfg.Concurrency = 1
		cfg.Save = func(State) error { return full }
		if _, err := Import(t.Context(), strings.NewReader(numbered(100)), cfg); !errors.Is(err, full) {
			t.Fatal(err)
		}
		if m.puts > 20 {
			t.Errorf("%d puts after the state could not be kept", m.puts)
		}
	})
}

func TestConfigValidate(t *testing.T) {
	m := &memory{}
	for name, change := range map[string]func(*Config){
		"no put":          func(c *Config) { c.Put = nil },
		"no check":        func(c *Config) { c.Check = nil },
		"no concurrency":  func(c *Config) { c.Concurrency = 0 },
		"too much of it":  func(c *Config) { c.Concurrency = MaxConcurrency + 1 },
		"another format":  func(c *Config) { c.Format = "csv" },
		"no format given": func(c *Config) { c.Format = "" },
	} {
		cfg := m.config()
		change(&cfg)
		if _, err := Import(t.Context(), strings.NewReader("a\t1\n"), cfg); fault.KindOf(err) != fault.Invalid || m.puts > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
