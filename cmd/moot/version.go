package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/ledger"
)

// version is the program's version where the build sets it: go build -ldflags "-X main.version=1.2.3".
var version string

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the program's version",
		Args:  wants(0, 0),
		// A broken config file must not hide the version.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { _ = a.loadSettings(cmd); return nil },
		ValidArgsFunction: cobra.NoFileCompletions,
		Example: `  moot version
  moot version --json | jq -r .version`,
		RunE: func(*cobra.Command, []string) error {
			v := thisBuild()
			return a.show(v, func() {
				a.printf("moot %s", v.Version)
				if v.Revision != "" {
					a.printf(" (%s%s)", v.Revision[:min(12, len(v.Revision))], map[bool]string{true: ", modified"}[v.Modified])
				}
				a.printf(" %s %s/%s, ledger rules up to version %d\n", v.Go, v.OS, v.Arch, v.LedgerRules)
			})
		},
	}
}

// build says what this program was built from.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	// LedgerRules is the newest version of the ledger's rules that the program knows.
	LedgerRules uint32 `json:"ledger_rules"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, LedgerRules: ledger.RulesVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if v := info.Main.Version; b.Version == "" && v != "(devel)" {
		b.Version = v
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
