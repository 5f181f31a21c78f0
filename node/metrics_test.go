package node

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/folkmoot/folkmoot/internal/goldentest"
	"github.com/folkmoot/folkmoot/ledger"
)

var updateMetrics = flag.Bool("update", false, "write docs/metrics.md anew")

// metricsPage is what the page begins with.
const metricsPage = `# Metrics

` + "`GET /metrics`" + ` tells these, for Prometheus; a token needs the scope read. Alert rules, a Grafana dashboard and what to do when an alert fires are in
[deploy/observability](../deploy/observability/README.md). What is promised of their names: [stability.md](stability.md#metrics).

Besides, there are Go's own (` + "`go_…`" + `) and those of the process (` + "`process_…`" + `).

| metric | type | labels | what it tells |
|---|---|---|---|
`

var descText = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "((?:[^"\\]|\\.)*)", unit: "[^"]*", constLabels: \{\}, variableLabels: \{([^}]*)\}`)

// described is a metric as it is described.
type described struct{ name, kind, help, labels string }

// describedBy returns the program's own metrics in a registry, by name.
func describedBy(t *testing.T, r *prometheus.Registry) []described {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		r.Describe(descs)
	}()
	var list []described
	for d := range descs {
		if !strings.Contains(d.String(), `fqName: "moot_`) {
			continue
		}
		m := descText.FindStringSubmatch(d.String())
		if m == nil {
			t.Errorf("a metric that can't be told: %s", d)
			continue
		}
		kind := kinds[m[1]]
		switch { // nothing has happened that it counts
		case kind == "" && strings.HasSuffix(m[1], "_total"):
			kind = "counter"
		case kind == "" && strings.HasSuffix(m[1], "_seconds"):
			kind = "histogram"
		case kind == "":
			kind = "gauge"
		}
		list = append(list, described{m[1], kind, strings.ReplaceAll(m[2], `\"`, `"`), m[3]})
	}
	slices.SortFunc(list, func(a, b described) int { return cmp.Compare(a.name, b.name) })
	return list
}

// foundForTest returns the home of the one validator of a new network.
func foundForTest(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	key, err := ValidatorKey(home)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGenesis("test", []ledger.GenesisValidator{{Key: key, Power: 1, Operator: ledger.AccountID{1}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := JoinHome(home, g); err != nil {
		t.Fatal(err)
	}
	return home
}

// validatorForMetrics runs the one validator of a network, with all its parts.
func validatorForMetrics(t *testing.T) *Node {
	t.Helper()
	home := foundForTest(t)
	return runConfig(t, Config{Home: home, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, API: APIConfig{Listen: "127.0.0.1:0"}, Trace: TraceConfig{To: "http://127.0.0.1:1", Sample: -1}})
}

// TestMetricsPage holds docs/metrics.md to the code, and names to Prometheus' conventions. `go test ./node -run MetricsPage -update` writes it.
func TestMetricsPage(t *testing.T) {
	n := validatorForMetrics(t)
	page := bytes.NewBufferString(metricsPage)
	for _, d := range describedBy(t, n.metrics) {
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", d.name, d.kind, d.labels, d.help)
	}
	goldentest.Check(t, "../docs/metrics.md", page.Bytes(), *updateMetrics, "go test ./node -run MetricsPage -update")
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "moot_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestAlertsNameMetrics holds rules and dashboard to the metrics that there are: promtool knows their syntax alone.
func TestAlertsNameMetrics(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		text, err := os.ReadFile("../deploy/observability/" + file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bmoot_[a-z_]+`).FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !bytes.Contains(page, []byte("`"+name+"`")) && !bytes.Contains(page, []byte("`"+base+"`")) {
				t.Errorf("%s names %s, which there is not", file, name)
			}
		}
	}
}

// TestRunbooks finds what to do for each alert.
func TestRunbooks(t *testing.T) {
	rules, err := os.ReadFile("../deploy/observability/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../deploy/observability/README.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllSubmatch(rules, -1)
	for _, a := range alerts {
		if !bytes.Contains(readme, append([]byte("### "), a[1]...)) || !bytes.Contains(rules, append([]byte("README.md#"), bytes.ToLower(a[1])...)) {
			t.Errorf("alert %s has no runbook, or does not name it", a[1])
		}
	}
	if len(alerts) == 0 {
		t.Error("there are no alerts")
	}
}
