package settings

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/folkmoot/folkmoot/fault"
)

// testFlags are options of every type.
type testFlags struct {
	set    *pflag.FlagSet
	zone   string
	copies int
	grace  time.Duration
	mdns   bool
	listen []string
}

func newTestFlags() *testFlags {
	f := &testFlags{set: pflag.NewFlagSet("test", pflag.ContinueOnError)}
	f.set.StringVar(&f.zone, "zone", "", "")
	f.set.IntVar(&f.copies, "copies", 5, "")
	f.set.DurationVar(&f.grace, "away-grace", time.Minute, "")
	f.set.BoolVar(&f.mdns, "mdns", true, "")
	f.set.StringSliceVar(&f.listen, "listen", []string{"default"}, "")
	return f
}

func (f *testFlags) options(t *testing.T) Options {
	t.Helper()
	o := make(Options)
	if err := o.Add(f.set); err != nil {
		t.Fatal(err)
	}
	return o
}

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func TestFlagsWinOverVariablesWinOverTheFile(t *testing.T) {
	f := newTestFlags()
	if err := f.set.Parse([]string{"--zone", "flag"}); err != nil {
		t.Fatal(err)
	}
	file, err := Parse("config.yaml", []byte("zone: file\ncopies: 3\naway-grace: 5s\nmdns: false\nlisten: [x, y]\n"), f.options(t))
	if err != nil {
		t.Fatal(err)
	}
	vars := env(map[string]string{"MOOT_ZONE": "variable", "MOOT_COPIES": "7", "MOOT_AWAY_GRACE": "", "MOOT_LISTEN": "a, b"})
	if err := Apply(f.set, vars, file); err != nil {
		t.Fatal(err)
	}
	if f.zone != "flag" || f.copies != 7 || f.grace != 5*time.Second || f.mdns || !slices.Equal(f.listen, []string{"a", "b"}) {
		t.Errorf("zone %q, copies %d, grace %s, mdns %t, listen %q", f.zone, f.copies, f.grace, f.mdns, f.listen)
	}
}

func TestDefaultsStay(t *testing.T) {
	f := newTestFlags()
	file, err := ReadFile(filepath.Join(t.TempDir(), "none.yaml"), f.options(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := Apply(f.set, env(nil), file); err != nil {
		t.Fatal(err)
	}
	if f.copies != 5 || f.grace != time.Minute || !f.mdns || !slices.Equal(f.listen, []string{"default"}) {
		t.Errorf("copies %d, grace %s, mdns %t, listen %q", f.copies, f.grace, f.mdns, f.listen)
	}
}

func TestVariablesThatCannotBeRead(t *testing.T) {
	for name, want := range map[string]string{
		"MOOT_COPIES":     `variable MOOT_COPIES: want a whole number, got "x"`,
		"MOOT_AWAY_GRACE": `variable MOOT_AWAY_GRACE: want a duration such as 90s or 24h, got "x"`,
		"MOOT_MDNS":       `variable MOOT_MDNS: want true or false, got "x"`,
	} {
		err := Apply(newTestFlags().set, env(map[string]string{name: "x"}), nil)
		wantInvalid(t, err, want)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	tests := []struct{ text, want string }{
		{"copies: 3\ncopy: 4\n", `f:2: "copy": unknown option`},
		{"zoen: a\n", `f:1: "zoen": unknown option; did you mean "zone"?`},
		{"copies: three\n", `f:1: "copies": want a whole number, got "three"`},
		{"copies: 99999999999999999999\n", `f:1: "copies": want a whole number, got "99999999999999999999"`},
		{"copies: \"3\"\n", `f:1: "copies": want a whole number, got "3"`},
		{"\nmdns: yes\n", `f:2: "mdns": want true or false, got "yes"`},
		{"away-grace: 60\n", `f:1: "away-grace": want a duration such as 90s or 24h, got "60"`},
		{"zone: 7\n", `f:1: "zone": want text (in quotes, if it looks like something else), got "7"`},
		{"zone:\n", `f:1: "zone": want text (in quotes, if it looks like something else), got nothing`},
		{"zone: [a]\n", `f:1: "zone": want text (in quotes, if it looks like something else), got a list`},
		{"listen: a\n", `f:1: "listen": want a list, got "a"`},
		{"listen:\n  - a\n  - 7\n", `f:3: "listen": want a list of texts, got "7" in it`},
		{"zone: a\nzone: b\n", `f:2: "zone": given twice`},
		{"home: /x\n", `f:1: "home": the home is where this file was found; set it with --home or MOOT_HOME`},
		{"- a\n", `f:1: want lines of OPTION: VALUE`},
		{"just text\n", `f:1: want lines of OPTION: VALUE`},
		{"zone: a\n---\nzone: b\n", `f: want one YAML document, found more`},
		{"zone: &z a\n<<: *z\n", `f:2: "<<": unknown option`},
		{"zone: *z\n", `f: unknown anchor 'z' referenced`},
		{"? [a]\n: b\n", `f:1: want the name of an option`},
		{"zone: $ZONE\n", `f:1: "zone": "$ZONE": want ${NAME} for a variable of the environment, or $$ for a dollar sign`},
		{"zone: a${}\n", `f:1: "zone": "${}": want ${NAME} for a variable of the environment, or $$ for a dollar sign`},
		{"zone: ${A B}\n", `f:1: "zone": "${A B}": want ${NAME} for a variable of the environment, or $$ for a dollar sign`},
		{"zone: ${1}\n", `f:1: "zone": "${1}": want ${NAME} for a variable of the environment, or $$ for a dollar sign`},
		{"listen:\n  - a\n  - a$\n", `f:3: "listen": "$": want ${NAME} for a variable of the environment, or $$ for a dollar sign`},
		{"listen: ${LISTEN}\n", `f:1: "listen": want a list, got "${LISTEN}"`},
	}
	for _, tt := range tests {
		_, err := Parse("f", []byte(tt.text), newTestFlags().options(t))
		wantInvalid(t, err, tt.want)
	}
}

func TestVariablesInAFile(t *testing.T) {
	const text = `zone: "${NODE}-$${NODE}$$"
copies: ${COPIES}
mdns: "${MDNS}"
away-grace: ${SECONDS}s
listen: ["/ip4/${HOST_IP}/tcp/${PORT}", fixed]
`
	f := newTestFlags()
	file, err := Parse("f", []byte(text), f.options(t))
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"NODE": "${COPIES}", "COPIES": "3", "MDNS": "false", "SECONDS": "5", "HOST_IP": "192.0.2.1", "PORT": "4242"}
	if err := Apply(f.set, env(vars), file); err != nil {
		t.Fatal(err)
	}
	// What a variable holds is not looked into again.
	if f.zone != "${COPIES}-${NODE}$" || f.copies != 3 || f.mdns || f.grace != 5*time.Second || !slices.Equal(f.listen, []string{"/ip4/192.0.2.1/tcp/4242", "fixed"}) {
		t.Errorf("zone %q, copies %d, mdns %t, grace %s, listen %q", f.zone, f.copies, f.mdns, f.grace, f.listen)
	}

	for name, tt := range map[string]struct{ value, want string }{
		"NODE":    {"", `f:1: "zone": variable NODE is not set`},
		"COPIES":  {"three", `f:2: "copies": want a whole number, got "three"`},
		"MDNS":    {"maybe", `f:3: "mdns": want true or false, got "maybe"`},
		"SECONDS": {"", `f:4: "away-grace": variable SECONDS is not set`},
		"HOST_IP": {"", `f:5: "listen": variable HOST_IP is not set`},
	} {
		changed := maps.Clone(vars)
		changed[name] = tt.value
		wantInvalid(t, Apply(newTestFlags().set, env(changed), file), tt.want)
	}

	// A command without the option does not mind that its variable is not set, nor does an option that is given otherwise.
	other := pflag.NewFlagSet("other", pflag.ContinueOnError)
	other.String("elsewhere", "", "")
	if err := Apply(other, env(nil), file); err != nil {
		t.Error(err)
	}
	given := newTestFlags()
	delete(vars, "NODE")
	vars["MOOT_ZONE"] = "given"
	if err := Apply(given.set, env(vars), file); err != nil || given.zone != "given" {
		t.Errorf("zone %q, %v", given.zone, err)
	}
}

func TestEmptyFiles(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		if _, err := Parse("f", []byte(text), newTestFlags().options(t)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLongFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("#", maxFile+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadFile(path, Options{})
	wantInvalid(t, err, path+": longer than 65536 bytes")
}

func TestAnOptionHasOneType(t *testing.T) {
	o := newTestFlags().options(t)
	other := pflag.NewFlagSet("other", pflag.ContinueOnError)
	other.String("copies", "", "")
	if err := o.Add(other); err == nil {
		t.Error("copies is a number here and text there, and nobody minds")
	}
}

func TestNearest(t *testing.T) {
	options := []string{"api-listen", "consistency", "json", "listen", "ls", "put", "rm", "timeout"}
	for word, want := range map[string]string{
		"conistency": "consistency", "consitsency": "consistency", "jsno": "json", "timeuot": "timeout", "pt": "put",
		"ptu": "put", "lisen": "listen", "time": "timeout", "frobnicate": "", "": "", "x": "",
		strings.Repeat("consistency", 10): "",
	} {
		if got := Nearest(word, options); got != want {
			t.Errorf("nearest to %q: %q, want %q", word, got, want)
		}
	}
}

func wantInvalid(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want || fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %s error %q,\nwant invalid %q", fault.KindOf(err), err, want)
	}
}

// FuzzParse checks that a file that is accepted can be applied, and gives options of the right type.
func FuzzParse(f *testing.F) {
	f.Add([]byte("zone: a\ncopies: 3\nlisten: [a, b]\naway-grace: 5s\nmdns: false\n"))
	f.Add([]byte("zone: &a [*a]\n"))
	f.Add([]byte("copies: 0x10\n"))
	f.Add([]byte("zone: a${A}$$\nlisten: ['${A}']\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		flags := newTestFlags()
		file, err := Parse("f", data, flags.options(t))
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%v is of kind %s", err, fault.KindOf(err))
			}
			return
		}
		// What a variable stands for is known only now, and may be no number.
		if err := Apply(flags.set, env(nil), file); err != nil && !strings.Contains(string(data), "$") {
			t.Fatalf("parsed, but not applied: %v", err)
		}
	})
}
