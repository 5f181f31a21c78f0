package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/folkmoot/folkmoot/api/apitest"
)

func TestSplitLine(t *testing.T) {
	for line, want := range map[string][]string{
		"":                             nil,
		"  \t ":                        nil,
		"# PUT k v":                    nil,
		"PUT k v":                      {"PUT", "k", "v"},
		"  get\tk  ":                   {"get", "k"},
		`PUT "a key" 'two words'`:      {"PUT", "a key", "two words"},
		`PUT k ""`:                     {"PUT", "k", ""},
		`PUT k "say \"hi\" \\ C:\dir"`: {"PUT", "k", `say "hi" \ C:\dir`},
		`PUT k 'it is "quoted"\'`:      {"PUT", "k", `it is "quoted"\`},
		`PUT k a"b c"d`:                {"PUT", "k", "ab cd"},
		`PUT k C:\dir`:                 {"PUT", "k", `C:\dir`},
		"PUT k #1\r":                   {"PUT", "k", "#1"},
	} {
		if got, err := splitLine(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`PUT "k`, `PUT 'k`, `PUT "k\"`} {
		if got, err := splitLine(line); exitCode(err) != exitUsage {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

// FuzzSplitLine checks that words survive being quoted and split again.
func FuzzSplitLine(f *testing.F) {
	f.Add(`PUT "a key" 'two words'`)
	f.Add(`say \"hi\"`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitLine(line)
		if err != nil || len(words) == 0 {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = quoteWord(w)
		}
		again, err := splitLine(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(again, words) {
			t.Fatalf("%q: words %q, quoted %q, again %q, %v", line, words, quoted, again, err)
		}
	})
}

func TestCompleteLine(t *testing.T) {
	keys := []string{"config/a", "config/b", "two words", "ünï", "ünö"}
	complete := func(before []string, begun string) []string {
		if len(before) == 0 {
			return []string{"GET"}
		}
		return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, begun) })
	}
	for line, want := range map[string]string{
		"g": "GET ", "": "GET ", "GET c": "GET config/", "GET config/": "GET config/", "GET config/a": "GET config/a ",
		"GET t": `GET "two words" `, `GET "two w`: `GET "two words" `, "GET x": "GET x", "GET ü": "GET ün",
	} {
		if got, _ := completeLine(line, complete); got != want {
			t.Errorf("%q became %q, want %q", line, got, want)
		}
	}
	if _, choices := completeLine("GET config/", complete); !slices.Equal(choices, keys[:2]) {
		t.Errorf("choices %q", choices)
	}
}

func TestCtrlCAmongKeys(t *testing.T) {
	keys := interruptible(strings.NewReader("half\x03\x03GET a\rhalf\x03"))
	var got []string
	for buf := make([]byte, 3); ; {
		n, err := keys.Read(buf)
		switch {
		case errors.Is(err, errInterrupted):
			got = append(got, "^C")
		case err != nil:
			if want := []string{"hal", "f", "^C", "^C", "GET", " a\r", "hal", "f", "^C"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			return
		default:
			got = append(got, string(buf[:n]))
		}
	}
}

func TestShellScript(t *testing.T) {
	b := newBench(t)
	b.stdin = `# the demonstration
PUT greeting "hello there"
get greeting

PUT_PROVIDER greeting
GET_PROVIDERS greeting
Ping ` + apitest.Other + `
QUIT
GET never
`
	want := "Put record greeting (2 of 2; 5 wanted)\nhello there\nPut provider record greeting\n" + apitest.Self + "\n" + apitest.Other + ": 0.25 ms\n"
	if got := b.must("shell"); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	b.stdin = "HELP\nPEERS\n"
	if got := b.must("shell"); !strings.Contains(got, "GET_PROVIDERS KEY") || !strings.Contains(got, apitest.Other) {
		t.Error(got)
	}
}

func TestShellScriptStopsAtTheFirstFailure(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		script string
		code   int
		parts  []string
	}{
		{"# c\n\nGET none\nPUT k v\n", exitNotFound, []string{"line 3: ", "none"}},
		{"PUT k two words\n", exitUsage, []string{"line 1: PUT wants KEY VALUE; quote"}},
		{"PTU k v\n", exitUsage, []string{"line 1: unknown command PTU; did you mean PUT?"}},
		{"FROBNICATE\n", exitUsage, []string{"HELP lists the commands"}},
		{"PEERS now\n", exitUsage, []string{"PEERS stands alone"}},
		{"PUT k \"v\n", exitUsage, []string{`the quote " is not closed`}},
		{"PUT \"\" v\n", exitUsage, []string{"the key is empty"}},
		{"PING nobody\n", exitUsage, []string{"nobody is not a peer id"}},
		{"GET_PROVIDERS none\n", exitNotFound, []string{"nobody provides none"}},
		{"GET " + strings.Repeat("k", maxScriptLine), exitUsage, []string{"line 1: longer than"}},
	} {
		b.stdin = tt.script
		b.fails(tt.code, []string{"shell"}, tt.parts...)
	}
	b.fails(exitNotFound, []string{"get", "k"}, "k") // nothing after a failure was run
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), historyFile)
	h, err := openHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"GET a", "GET a", "", "GET b"} {
		h.Add(line)
	}
	h.close()
	h, err = openHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if h.Len() != 2 || h.At(0) != "GET b" || h.At(1) != "GET a" {
		t.Errorf("%q", h.lines)
	}
	for i := range 2 * maxHistory {
		h.Add(fmt.Sprint("GET ", i))
	}
	h.close()
	if h.Len() != maxHistory {
		t.Errorf("%d lines, want %d", h.Len(), maxHistory)
	}
	if h, err = openHistory(path); err != nil {
		t.Fatal(err)
	}
	defer h.close()
	text, err := os.ReadFile(path)
	if st, statErr := os.Stat(path); err != nil || statErr != nil || st.Mode().Perm() != 0o600 || strings.Count(string(text), "\n") != maxHistory ||
		h.At(0) != fmt.Sprint("GET ", 2*maxHistory-1) {
		t.Errorf("mode %v, %d lines, newest %q, %v", st.Mode(), strings.Count(string(text), "\n"), h.At(0), err)
	}
}

func TestHistoryOfAnotherMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), historyFile)
	if err := os.WriteFile(path, []byte(strings.Repeat("GET long\n", maxHistoryFile/8)), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := openHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 || st.Size() > 16<<10 || h.Len() != maxHistory {
		t.Errorf("mode %v, %d bytes, %d lines, %v", st.Mode(), st.Size(), h.Len(), err)
	}
}

func TestHistoryWithoutAHome(t *testing.T) {
	home := filepath.Join(t.TempDir(), "none")
	h, err := openHistory(filepath.Join(home, historyFile))
	if err != nil {
		t.Fatal(err)
	}
	h.Add("GET a")
	h.close()
	if _, err := os.Stat(home); err == nil || h.Len() != 1 {
		t.Errorf("the home was made; %d lines", h.Len())
	}
}
