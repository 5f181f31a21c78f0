package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/api"
	"github.com/folkmoot/folkmoot/dashboard"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/machine"
	"github.com/folkmoot/folkmoot/ledger/consensus"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/routing"
	"github.com/folkmoot/folkmoot/swarm/nat"
)

// runOptions are the options of moot run as they were written.
type runOptions struct {
	network                          string
	open                             bool
	listen, announce, bootstrap, dns []string
	mdns                             bool
	relay                            *choice
	privateWAN, portMap              bool
	zone                             string
	copies                           int
	routing                          *choice
	awayGrace                        time.Duration
	rejoin                           bool
	ledger                           bool
	ledgerSync                       *choice
	ledgerTrust                      string
	ledgerKeepBlocks                 int64
	ledgerSnapshots                  int64
	ledgerResumeWait                 time.Duration
	maxConnections                   int
	quota                            size
	apiListen                        string
	apiTLSCert, apiTLSKey            string
	apiInsecure                      bool
	apiTokens                        *choice
	apiRate                          int
	logLevel, logFormat              *choice
	traceTo                          string
	traceSample                      float64
	cpuProfile                       string
	validatorsSecret, membersSecret  string
	seat, seats                      int
	seatOfPod                        bool
	signWith                         []string
	signPassphrase                   string
}

func newRun(a *app) *cobra.Command {
	o := newRunOptions()
	cmd := a.command("run [--network NAME --open]", "Run a node until it is stopped", wants(0, 0), func(ctx context.Context, _ []string) error {
		return a.runNode(ctx, o)
	})
	cmd.Long = `Run a node until SIGINT or SIGTERM. With --network and --open an empty home becomes a node of that open network first.
On stopping, the node tells the others that it will be back, and ends within 5 seconds; a second SIGINT ends it at once.

With --validators-secret the node is one of the validators of one owner: those that prove the secret to one another vote one another in, up to --seats, each in a seat of its own. One that comes with
new keys into the seat of one that is gone takes its place, and "moot leave" has the node voted out first. Whoever has the secret can take the ledger over: keep it as you keep the validators' keys.`
	cmd.Example = `  moot run --network town --open
  moot run --bootstrap /ip4/192.0.2.7/tcp/4242 --mdns=false
  moot run --network town --open --dns moot.default.svc.cluster.local --zone "$NODE_NAME"
  moot run --validators-secret secret --seat 2 --seats 4
  moot run --api-listen unix:///run/moot/api.sock
  moot run --api-listen 0.0.0.0:7070 --token-file token --api-tls-cert tls.crt --api-tls-key tls.key`
	addNetworkOptions(cmd, &o.network, &o.open)
	addRunOptions(cmd, &o)
	return cmd
}

// newRunOptions returns the options with their choices.
func newRunOptions() runOptions {
	return runOptions{relay: newChoice("auto", "auto", "true", "false"), logLevel: newChoice("info", "debug", "info", "warn", "error"), logFormat: newChoice("text", "text", "json"), apiTokens: newChoice("auto", "auto", "require"),
		routing:    newChoice(string(routing.DefaultMethod), string(routing.MethodIterative), string(routing.MethodRecursive), string(routing.MethodBroadcast)),
		ledgerSync: newChoice(string(consensus.Auto), string(consensus.Auto), string(consensus.Blocks), string(consensus.State))}
}

// addRunOptions declares the options that say how a node runs.
func addRunOptions(cmd *cobra.Command, o *runOptions) {
	f := cmd.Flags()
	f.StringSliceVar(&o.listen, "listen", nil, "`MULTIADDR` to listen on; may be repeated (default: port 4242, TCP and QUIC)")
	f.StringSliceVar(&o.announce, "announce", nil, "`MULTIADDR` at which others reach this node, beside those it listens on; may be repeated")
	f.StringSliceVar(&o.bootstrap, "bootstrap", nil, "`MULTIADDR` of a peer to try first; may be repeated")
	f.StringSliceVar(&o.dns, "dns", nil, "`NAME` whose addresses are peers, such as a headless Service; may be repeated")
	f.BoolVar(&o.mdns, "mdns", true, "look for peers on the local network")
	addChoice(cmd, o.relay, "relay", "carry connections for members that others can't dial: while this node can be dialled at a public address, always, or never")
	f.Lookup("relay").NoOptDefVal = "true"
	f.BoolVar(&o.privateWAN, "private-wan", false, "the members reach one another over private addresses with NATs between their sites")
	f.BoolVar(&o.portMap, "map-ports", true, "ask the router for a port that leads here (UPnP, NAT-PMP), where the node has a private address and is no pod of Kubernetes")
	f.StringVar(&o.zone, "zone", "", "failure domain that copies are spread over; on Kubernetes, the `NAME` of the cluster's node")
	f.IntVar(&o.copies, "copies", node.DefaultCopies, "copies wanted of each record")
	addChoice(cmd, o.routing, "routing", "how peers are found that this node does not keep in view, and with them the holders of records; of use above a thousand peers")
	f.DurationVar(&o.awayGrace, "away-grace", node.DefaultAwayGrace, "how long others wait for this node to come back before they copy what it held")
	f.BoolVar(&o.rejoin, "rejoin", false, "let a node that has left for good, or was expelled and admitted again, enter its network again, with its identity")
	f.BoolVar(&o.ledger, "ledger", true, "keep the ledger, where the network has one; without it the node serves records only")
	f.StringVar(&o.validatorsSecret, "validators-secret", "", "`file` with the secret by which validators vote one another in: one line of 32 bytes or more")
	f.StringVar(&o.membersSecret, "members-secret", "", "`file` with the secret by which pods become members (moot init --members-secret), for whom this validator's operator keeps an invite open")
	f.IntVar(&o.seat, "seat", -1, "`number` of this node's seat among the validators with that secret, from 0 on")
	f.IntVar(&o.seats, "seats", 0, "how many validators with that secret there are to be")
	f.BoolVar(&o.seatOfPod, "seat-of-pod", false, "take the seat from the number of this pod of a StatefulSet, and how many there are to be from its replicas")
	addChoice(cmd, o.ledgerSync, "ledger-sync", fmt.Sprintf("how a node without a block gets the ledger: all blocks, a snapshot of the state and the blocks after it, or, with auto, the state if it lacks %d blocks", consensus.DefaultBehind))
	f.StringVar(&o.ledgerTrust, "ledger-trust", "", "`HEIGHT:HASH` of a block that is known to be the ledger's; another history is refused")
	f.Int64Var(&o.ledgerKeepBlocks, "ledger-keep-blocks", 0, fmt.Sprintf("`number` of the newest blocks to keep, %d or more; 0 keeps all", node.MinKeepBlocks))
	f.Int64Var(&o.ledgerSnapshots, "ledger-snapshots", node.DefaultSnapshotEvery, "`number` of blocks after which a snapshot of the state is taken for nodes that come later, the same on all nodes; 0 takes none")
	f.DurationVar(&o.ledgerResumeWait, "ledger-resume-wait", consensus.DefaultResumeWait, "how long nobody who answers may have had a later block until a restored validator votes again whose owner said --accept-lost-since")
	f.StringSliceVar(&o.signWith, "sign-with", nil, "key that this node signs transfers with for callers who show a token of the scope admin: the `NAME` of one in the home's accounts, or a file; may be repeated")
	f.StringVar(&o.signPassphrase, "sign-passphrase-file", "", "`file` with the passphrase of the keys of --sign-with, one line (or the passphrase itself in "+passphraseVariable+")")
	f.Var(&o.quota, "quota", "bytes of disk that records may use, such as 500MB or 10GiB; over it new ones are refused, and none is dropped (default: no bound)")
	f.IntVar(&o.maxConnections, "max-connections", 0, "most connections to other peers (default: sized from the memory of the machine, or of the container)")
	f.StringVar(&o.apiListen, "api-listen", defaultAPIListen, "`HOST:PORT` of the HTTP API, or unix:///PATH for a socket that only this user may use; other addresses than loopback need a token and TLS")
	f.StringVar(&o.apiTLSCert, "api-tls-cert", "", "`file` with the API's certificate, PEM")
	f.StringVar(&o.apiTLSKey, "api-tls-key", "", "`file` with the certificate's private key, PEM")
	addChoice(cmd, o.apiTokens, "api-tokens", "whom the API asks for a token: with auto callers from elsewhere and, with --token-file, all; with require all")
	f.IntVar(&o.apiRate, "api-rate", api.DefaultRate, "requests a second that each token, or each address of callers without one, may make of the API; 0: no bound; this machine's own without a token have none")
	f.BoolVar(&o.apiInsecure, "api-insecure", false, "serve the API without TLS on addresses other than loopback")
	addChoice(cmd, o.logLevel, "log-level", "least important log entries to write")
	addChoice(cmd, o.logFormat, "log-format", "how log entries are written")
	f.StringVar(&o.traceTo, "trace-to", "", "`URL` of an OpenTelemetry collector, such as http://127.0.0.1:4318, to which traces of requests go by OTLP over HTTP (default: nothing is recorded)")
	f.Float64Var(&o.traceSample, "trace-sample", node.DefaultTraceSample, "share of requests of which a trace is recorded, 0 to 1; the same on all nodes, or traces have gaps; 0 records those alone that callers of the API want recorded")
	f.StringVar(&o.cpuProfile, "cpu-profile", "", "write to this `file`, for go tool pprof, what the processor's time went into until the node stops")
}

// relayServing is what the words of --relay stand for.
var relayServing = map[string]nat.Serving{"auto": nat.ServeAuto, "true": nat.ServeAlways, "false": nat.ServeNever}

func (a *app) runNode(ctx context.Context, o runOptions) (err error) {
	a.useLog(o)
	cfg, err := a.nodeConfig(o)
	if err != nil {
		return err
	}
	stopProfile, err := startProfile(o.cpuProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProfile()) }()
	directLibraryLogs(cfg.Logger)
	if limit := heapLimit(a.getenv("GOMEMLIMIT"), machine.ContainerMemory()); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if a.getenv("GOGC") == "" {
		stopTuning := tuneCollector(ctx)
		defer stopTuning()
	}
	n, err := node.New(cfg)
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	running := make(chan error, 1)
	go func() { running <- n.Run(ctx) }()
	a.announce(n)
	select {
	case <-n.Ready():
		err = a.announceReady(n)
	case <-ctx.Done():
	case err := <-running:
		return failedRun(err)
	}
	return errors.Join(err, failedRun(<-running))
}

// heapLimit returns the memory, in bytes, that the garbage collector is to keep the program in: nine tenths of what its container allows. 0 means that it stays as it is, since
// there is no such bound, or GOMEMLIMIT says something else.
func heapLimit(gomemlimit string, container int64) int64 {
	if gomemlimit != "" {
		return 0
	}
	return container / 10 * 9
}

// tuneCollector has the garbage collector suit what the node does, until the function returned was called.
func tuneCollector(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var tuning sync.WaitGroup
	tuning.Go(func() { machine.TuneCollector(ctx, machine.Memory()) })
	return func() {
		cancel()
		tuning.Wait()
	}
}

func failedRun(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run the node: %w", err)
}

// announce says, for people, who the node is and where it is found.
func (a *app) announce(n *node.Node) {
	if a.log != nil && !a.json {
		d := describeNode(n, a.home)
		a.log.Info("node", "id", d.ID, "network", d.Network, "addresses", d.Addresses, "api", d.API, "home", d.Home)
		return
	}
	a.notef("peer id  %s", n.ID())
	a.notef("network  %s", networkText(n.Network(), n.Genesis() == nil))
	for _, addr := range n.Addrs() {
		a.notef("address  %s", addr)
	}
	a.notef("api      %s", n.APIURL())
}

// runningNode is what --json prints of a node once it is ready.
type runningNode struct {
	ID        string   `json:"id"`
	Network   string   `json:"network"`
	Addresses []string `json:"addresses"`
	API       string   `json:"api"`
	Home      string   `json:"home"`
}

func describeNode(n *node.Node, home string) runningNode {
	d := runningNode{ID: n.ID().String(), Network: n.Network(), API: n.APIURL(), Home: home, Addresses: []string{}}
	for _, addr := range n.Addrs() {
		d.Addresses = append(d.Addresses, addr.String())
	}
	return d
}

func (a *app) announceReady(n *node.Node) error {
	if a.json {
		return a.printJSON(describeNode(n, a.home))
	}
	a.notef("ready")
	return nil
}

// nodeConfig turns options into a node's configuration.
func (a *app) nodeConfig(o runOptions) (node.Config, error) {
	cfg := node.Config{
		Home: a.home, Network: o.network, Zone: o.zone, DNS: o.dns, MDNS: o.mdns,
		Copies: o.copies, Routing: routing.Method(o.routing.value), AwayGrace: o.awayGrace, MaxConnections: o.maxConnections, Quota: int64(o.quota), Rejoin: o.rejoin, NoLedger: !o.ledger,
		Relay: relayServing[o.relay.value], PrivateWAN: o.privateWAN, PortMap: o.portMap && a.getenv("KUBERNETES_SERVICE_HOST") == "",
		API:     node.APIConfig{Listen: o.apiListen, TLSCert: o.apiTLSCert, TLSKey: o.apiTLSKey, Insecure: o.apiInsecure, RequireTokens: o.apiTokens.value == "require", Rate: cmp.Or(o.apiRate, -1)},
		Trace:   node.TraceConfig{To: o.traceTo, Sample: cmp.Or(o.traceSample, -1)},
		Version: thisBuild().Version,
		Logger:  a.logger(o),
	}
	for _, list := range []struct {
		option string
		texts  []string
		addrs  *[]ma.Multiaddr
		sample string
	}{
		{"listen", o.listen, &cfg.Listen, "/ip4/0.0.0.0/tcp/4242 or /ip4/0.0.0.0/udp/4242/quic-v1"},
		{"announce", o.announce, &cfg.Announce, "/dns4/peer.example.org/tcp/4242"},
		{"bootstrap", o.bootstrap, &cfg.Bootstrap, exampleAddr},
	} {
		var err error
		if *list.addrs, err = parseAddrs(list.option, list.texts, list.sample); err != nil {
			return cfg, err
		}
	}
	if err := o.check(); err != nil {
		return cfg, err
	}
	var err error
	if cfg.Ledger, err = o.ledgerConfig(); err != nil {
		return cfg, err
	}
	if err := a.checkHome(o); err != nil {
		return cfg, err
	}
	if cfg.Validator, err = a.validatorConfig(o); err != nil {
		return cfg, err
	}
	if cfg.Signers, err = a.signers(o); err != nil {
		return cfg, err
	}
	if err := cfg.Validate(); err != nil {
		return cfg, advise(err, "see: moot run --help")
	}
	if cfg.API.UI, err = dashboard.Files(); err != nil {
		return cfg, err
	}
	cfg.API.Token, err = a.token()
	return cfg, err
}

// ledgerConfig turns the ledger's options into the node's.
func (o *runOptions) ledgerConfig() (node.LedgerConfig, error) {
	cfg := node.LedgerConfig{Sync: consensus.Sync{Mode: consensus.Mode(o.ledgerSync.value), ResumeWait: o.ledgerResumeWait}, KeepBlocks: o.ledgerKeepBlocks, SnapshotEvery: o.ledgerSnapshots}
	if cfg.SnapshotEvery == 0 {
		cfg.SnapshotEvery = -1
	}
	if o.ledgerTrust == "" {
		return cfg, nil
	}
	root, err := parseTrust("--ledger-trust", o.ledgerTrust)
	if err == nil {
		cfg.Sync.Trust = &consensus.Trust{Height: root.Height, Hash: root.Hash}
	}
	return cfg, err
}

// check refuses what node.Config would take for "not given".
func (o *runOptions) check() error {
	switch {
	case o.copies < 1:
		return fault.New(fault.Invalid, "option --copies: want 1 to %d, got %d", node.MaxCopies, o.copies)
	case o.apiRate < 0:
		return fault.New(fault.Invalid, "option --api-rate: want 0 or more, got %d", o.apiRate)
	case !(o.traceSample >= 0 && o.traceSample <= 1):
		return fault.New(fault.Invalid, "option --trace-sample: want 0 to 1, got %v", o.traceSample)
	case o.awayGrace <= 0:
		return fault.New(fault.Invalid, "option --away-grace: want more than 0, got %s", o.awayGrace)
	case o.ledgerSnapshots < 0:
		return fault.New(fault.Invalid, "option --ledger-snapshots: want 0 or more, got %d", o.ledgerSnapshots)
	case o.ledgerKeepBlocks != 0 && o.ledgerKeepBlocks < node.MinKeepBlocks:
		return fault.New(fault.Invalid, "option --ledger-keep-blocks: want %d or more, or 0 for all, got %d", node.MinKeepBlocks, o.ledgerKeepBlocks)
	case o.ledgerResumeWait < consensus.MinResumeWait:
		return fault.New(fault.Invalid, "option --ledger-resume-wait: want %s or more, got %s", consensus.MinResumeWait, o.ledgerResumeWait)
	case o.apiListen == "":
		return advise(fault.New(fault.Invalid, "option --api-listen is empty"), "write it like %s", defaultAPIListen)
	case (o.apiTLSCert == "") != (o.apiTLSKey == ""):
		return fault.New(fault.Invalid, "options --api-tls-cert and --api-tls-key go together; give both or neither")
	}
	return o.checkSeat()
}

// checkHome makes sure that it is clear which network the node belongs to before anything is made.
func (a *app) checkHome(o runOptions) error {
	if err := a.needHome(); err != nil {
		return err
	}
	if err := node.CheckNotLeft(a.home); err != nil && !o.rejoin {
		return fmt.Errorf("run: %w", err)
	}
	info, err := node.ReadHome(a.home)
	switch {
	case err == nil && o.network != "" && o.network != info.Network:
		return advise(fault.New(fault.Conflict, "run: home %s is a node of network %s, not of %s", a.home, quoteKey(info.Network), quoteKey(o.network)),
			"leave --network out, or give another --home")
	case err == nil && o.open && !info.Open:
		return advise(fault.New(fault.Conflict, "run: home %s is a node of network %s, which is not open", a.home, quoteKey(info.Network)), "leave --open out, or give another --home")
	case err == nil:
		return nil
	case fault.KindOf(err) != fault.NotFound:
		return fmt.Errorf("run: %w", err)
	case o.network == "":
		return advise(fault.New(fault.Invalid, "run: home %s holds no node yet", a.home),
			`say "moot run --network NAME --open" to make or enter an open network, make a node with "moot init" first, or give another --home`)
	case !o.open:
		return mustSayOpen("run", o.network)
	}
	return nil
}

// parseAddrs parses the multiaddrs of an option; sample shows how one is written.
func parseAddrs(option string, texts []string, sample string) ([]ma.Multiaddr, error) {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, advise(fault.New(fault.Invalid, "option --%s: %q is not a multiaddr", option, text), "write it like %s", sample)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
