package house

import "regexp"

// Rules are what Check holds a tree to.
type Rules struct {
	// Module is the path of the module, the prefix of the tree's own imports.
	Module string
	// Layers says which folders of the tree a folder may import, tests aside.
	Layers []Layer
	// Modules says who may import packages of other modules, tests aside.
	Modules []ModuleRule
	// Fuzzed are the packages that decode bytes from the wire or the disk: each has a fuzz target.
	Fuzzed []string
	// MaxLines is the length limit of a Go file.
	MaxLines int
	// Text are patterns that appear nowhere in the tree.
	Text []TextRule
	// TextExempt are files that may hold such text, as the rules themselves do.
	TextExempt []string
}

// A Layer is a folder with everything below it, up to folders that have an entry of their own.
type Layer struct {
	Folder string
	// May lists the folders that it may import besides itself; "*" stands for all.
	May []string
}

// A ModuleRule says who may import the packages whose path matches Import.
type ModuleRule struct {
	// Import matches whole import paths.
	Import *regexp.Regexp
	// Except matches those of them that are free for all; may be nil.
	Except *regexp.Regexp
	// By lists the folders that may import them, those below included.
	By []string
	// Why ends the sentence "only ... may import it: ".
	Why string
}

// A TextRule is a pattern that has no place in the tree.
type TextRule struct {
	Pattern *regexp.Regexp
	Why     string
}

// Folkmoot returns the rules of this project.
//
// Data flows from the commands down to the wire: cmd, node, then records, then routing and discovery, then swarm. The HTTP
// API sees the node through the interfaces that it declares, and its client needs nothing but the documents.
func Folkmoot() Rules {
	return Rules{
		Module: "github.com/folkmoot/folkmoot",
		Layers: []Layer{
			{Folder: "fault"},
			{Folder: "internal", May: []string{"fault"}},
			{Folder: "swarm", May: []string{"fault", "internal"}},
			{Folder: "discovery", May: []string{"swarm", "fault", "internal"}},
			{Folder: "pubsub", May: []string{"swarm", "fault", "internal"}},
			{Folder: "routing", May: []string{"pubsub", "swarm", "fault", "internal"}},
			{Folder: "records", May: []string{"routing", "swarm", "fault", "internal"}},
			{Folder: "ledger", May: []string{"fault"}},
			{Folder: "ledger/tree", May: []string{"fault"}},
			{Folder: "ledger/state", May: []string{"ledger", "ledger/tree", "fault", "internal"}},
			{Folder: "ledger/consensus", May: []string{"ledger", "ledger/state", "ledger/tree", "swarm", "routing", "fault", "internal"}},
			{Folder: "ledger/receipt", May: []string{"ledger", "ledger/tree", "ledger/consensus", "records", "swarm", "fault"}}, // a receipt may prove a record
			{Folder: "ledger/enrol", May: []string{"ledger", "swarm", "fault", "internal"}},
			{Folder: "ledger/admission", May: []string{"ledger", "ledger/receipt", "ledger/consensus", "swarm", "fault", "internal"}},
			{Folder: "ledger/replica", May: []string{"ledger", "ledger/state", "ledger/tree", "ledger/consensus", "ledger/receipt", "fault", "internal"}},
			{Folder: "backup", May: []string{"fault"}},
			{Folder: "api/v1"},
			{Folder: "api/ledgerdoc", May: []string{"api/v1", "ledger", "fault"}},
			{Folder: "api/client", May: []string{"api/v1", "fault"}},
			{Folder: "api", May: []string{"api/v1", "fault", "internal"}},
			{Folder: "node", May: []string{
				"api", "api/v1", "api/ledgerdoc", "ledger", "ledger/replica", "ledger/receipt", "ledger/state", "ledger/consensus", "ledger/enrol", "ledger/admission", "backup", "records", "routing", "pubsub", "discovery", "swarm", "fault", "internal"}},
			{Folder: "cmd", May: []string{
				"dashboard", "node", "api", "api/v1", "api/client", "api/ledgerdoc", "ledger", "ledger/receipt", "ledger/consensus", "ledger/enrol", "ledger/admission", "backup", "records", "routing", "pubsub", "discovery", "swarm", "fault", "internal", "bench"}},
			{Folder: "dashboard"},
			{Folder: "examples", May: []string{"node", "api/client", "api/v1", "ledger", "ledger/replica", "ledger/receipt", "ledger/consensus", "records", "routing", "swarm", "fault"}},
			{Folder: "sim", May: []string{"records", "routing", "pubsub", "swarm", "fault"}},
			{Folder: "bench", May: []string{"*"}},
			{Folder: "deploy"},
			{Folder: "test", May: []string{"*"}},
			{Folder: "test/kubernetes/build"},
		},
		Modules: []ModuleRule{
			{
				Import: regexp.MustCompile(`^github\.com/libp2p/go-libp2p(/.*)?$`),
				Except: regexp.MustCompile(`^github\.com/libp2p/go-libp2p/((core|x)(/.*)?|p2p/discovery/mdns)$`),
				By:     []string{"swarm", "sim", "bench"},
				Why:    "implementations of libp2p are built in one place",
			},
			{
				Import: regexp.MustCompile(`^github\.com/libp2p/go-libp2p/p2p/discovery/mdns$`),
				By:     []string{"discovery/mdns"},
				Why:    "libp2p's mDNS is a finder's business",
			},
			{
				Import: regexp.MustCompile(`^github\.com/libp2p/go-libp2p-(kad-dht|kbucket|record)(/.*)?$`),
				By:     []string{"routing", "bench"},
				Why:    "Kademlia is one of several routers",
			},
			{
				Import: regexp.MustCompile(`^github\.com/libp2p/go-libp2p-pubsub(/.*)?$`),
				By:     []string{"pubsub"},
				Why:    "gossip is behind publish and subscribe",
			},
			{
				Import: regexp.MustCompile(`^github\.com/cockroachdb/pebble(/.*)?$`),
				By:     []string{"records", "ledger/state", "ledger/consensus", "ledger/replica", "internal/guardfs", "sim", "bench/trees"},
				Why:    "the disk belongs to the record store and the ledger's state",
			},
			{
				Import: regexp.MustCompile(`^github\.com/(libp2p|multiformats)/`),
				By: []string{"swarm", "discovery", "pubsub", "routing", "records", "ledger/consensus", "ledger/enrol", "ledger/admission", "ledger/replica", "api", "node", "cmd", "examples", "internal", "sim", "bench",
					"test"},
				Why: "the ledger knows nothing of networks",
			},
			{
				Import: regexp.MustCompile(`^go\.opentelemetry\.io/otel/(sdk|exporters)(/.*)?$`),
				By:     []string{"internal/tracing/otlp"},
				Why:    "what becomes of spans is one part's affair",
			},
			{
				Import: regexp.MustCompile(`^github\.com/(cometbft/cometbft|cometbft/cometbft-db|cosmos/gogoproto)(/.*)?$`),
				By:     []string{"ledger/consensus", "bench"},
				Why:    "consensus is one part of the ledger",
			},
			{
				Import: regexp.MustCompile(`^filippo\.io/age(/.*)?$`),
				By:     []string{"backup"},
				Why:    "what is encrypted at rest is a backup's key",
			},
			{
				Import: regexp.MustCompile(`^github\.com/danielgtaylor/huma(/.*)?$`),
				By:     []string{"api"},
				Why:    "HTTP stays at the boundary",
			},
			{
				Import: regexp.MustCompile(`^github\.com/spf13/(cobra|pflag)(/.*)?$`),
				By:     []string{"cmd", "test/kubernetes/build"},
				Why:    "the command line stays at the boundary",
			},
			{
				Import: regexp.MustCompile(`^(testing(/.*)?|github\.com/(marcopolo/simnet|rogpeppe/go-internal/.*|stretchr/testify/.*))$`),
				By:     []string{"test"},
				Why:    "what tests need stays out of the program",
			},
			{
				Import: regexp.MustCompile(`^log$`),
				By:     []string{"examples"},
				Why:    "logging is by a *slog.Logger handed in",
			},
			{
				Import: regexp.MustCompile(`^(github\.com/ipfs/go-log(/.*)?|go\.uber\.org/zap(/.*)?)$`),
				By:     []string{"swarm"},
				Why:    "logging is by a *slog.Logger handed in; what libraries log is turned to one in swarm",
			},
		},
		Fuzzed: []string{"backup", "swarm", "swarm/nat", "swarm/rpc", "routing", "pubsub", "records", "records/disk", "discovery/peercache", "ledger", "ledger/state", "ledger/tree",
			"ledger/consensus", "ledger/consensus/light", "ledger/consensus/gate", "ledger/consensus/signer", "ledger/consensus/application", "ledger/enrol", "ledger/admission", "ledger/receipt", "api/ledgerdoc", "api/v1", "internal/apitoken", "internal/tracing", "cmd/moot/internal/accounts",
			"cmd/moot/internal/payments"},
		MaxLines: 500,
		Text: []TextRule{
			{regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`), "unfinished work is finished or left out"},
			{regexp.MustCompile(`(^|[^\w.])/(work/(main|shared)|tmp/plan|root/go)\b`), "a path of somebody's machine"},
		},
		TextExempt: []string{"test/house/rules.go", "test/house/house_test.go"},
	}
}
