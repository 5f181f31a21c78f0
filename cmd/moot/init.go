package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/folkmoot/folkmoot/cmd/moot/internal/accounts"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/node"
)

// operatorName is the name of the account that speaks for this node's validator.
const operatorName = "operator"

// initOptions are the options of moot init.
type initOptions struct {
	network             string
	open                bool
	genesis, validators string
	configMap           string
	membersSecret       string
	dns                 []string
	validator           bool
	membersOnly         bool
	state               string
}

func newInit(a *app) *cobra.Command {
	var o initOptions
	cmd := a.command("init --network NAME [--open]", "Make a node: its home folder and identity", wants(0, 0), func(ctx context.Context, _ []string) error {
		return a.init(ctx, o)
	})
	cmd.Long = `Make a node: its home folder, its identity, and the network that it belongs to. "moot run" then runs it.

With --network NAME alone a new network is founded, with a ledger whose one validator and member this node is; an account "operator" is made that speaks for it. With --validators FILE the
new network has the validators of the file, which are its first members: a JSON list of what "moot ledger validators key" prints at each of them. The network is for members only: others enter with the line that "moot invite" prints
("moot join"). The first members take --genesis FILE, the document that "moot ledger genesis" prints at any node of the network.

With --members-only=false whoever has the genesis may enter, by --genesis FILE. With --validator such a node makes a validator's key and the account, too, and can be voted in.
Where the network's ledger goes on from another one ("moot ledger recover"), --state FILE is needed, too: what "moot ledger recover state" wrote at one of its nodes.

In a pod of Kubernetes, --genesis-configmap takes the document from a ConfigMap of the pod's namespace, and waits until it is there. Pod 0 of a StatefulSet that is given --validator founds the network where
there is no such ConfigMap, by creating it, once the other pods have said that they have no home. Of several that try, one succeeds, and the others enter its network. A pod that has its home already goes on without, should the API server not answer.
With --members-secret the network that is founded is for members only, and who has the secret becomes one by itself: the pod waits until one of those at --dns has admitted it. Without, whoever can read the ConfigMap may enter.

With --open the network is open, and has no ledger: everybody who knows its name may enter.`
	cmd.Example = `  moot init --network town
  moot init --genesis town.json --home /var/lib/moot
  moot init --network town --validators parties.json
  moot init --network town --genesis-configmap town-genesis --validator
  moot init --network town --genesis-configmap town-genesis --members-secret secret --dns town-peers
  moot init --network playground --open`
	addNetworkOptions(cmd, &o.network, &o.open)
	cmd.Flags().BoolVar(&o.membersOnly, "members-only", true, "the network to found is for members only; otherwise whoever has its genesis may enter")
	cmd.Flags().StringVar(&o.genesis, "genesis", "", "`FILE` with the genesis document of the network to enter; - for standard input")
	cmd.Flags().StringVar(&o.state, "state", "", "`FILE` with the state that the ledger of the network to enter goes on from")
	cmd.Flags().StringVar(&o.validators, "validators", "", "`FILE` with the first validators of the network to found")
	cmd.Flags().StringVar(&o.configMap, "genesis-configmap", "", "`NAME` of the ConfigMap with the genesis document of the network to enter, in the pod's namespace")
	cmd.Flags().BoolVar(&o.validator, "validator", false, "make a validator's key and its operator's account, so that this node can be voted in")
	cmd.Flags().StringVar(&o.membersSecret, "members-secret", "", "`file` with the secret by which pods become members: one line of 32 bytes or more")
	cmd.Flags().StringSliceVar(&o.dns, "dns", nil, "`NAME[:PORT]` in DNS whose addresses are members that admit the pod; may be repeated")
	return cmd
}

// addNetworkOptions declares the options that say which network a new node belongs to.
func addNetworkOptions(cmd *cobra.Command, network *string, open *bool) {
	cmd.Flags().StringVar(network, "network", "", "`NAME` of the network")
	cmd.Flags().BoolVar(open, "open", false, "the network is open: everybody who knows its name may enter")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

func (o *initOptions) check() error {
	switch {
	case o.configMap != "" && (o.genesis != "" || o.open || o.validators != "" || o.network == ""):
		return advise(fault.New(fault.Invalid, "make a node: with --genesis-configmap give --network, and neither --genesis, --open nor --validators"), "see: moot init --help")
	case o.configMap == "" && (o.membersSecret != "" || len(o.dns) > 0) || (o.membersSecret == "") != (len(o.dns) == 0):
		return fault.New(fault.Invalid, "make a node: --members-secret and --dns go together, and with --genesis-configmap")
	case o.validator && o.open:
		return fault.New(fault.Invalid, "make a node: an open network has no ledger, and no validators; leave --open or --validator out")
	case o.network == "" && o.genesis == "":
		return advise(fault.New(fault.Invalid, "make a node: no network was named"), "say: moot init --network NAME, or --genesis FILE to enter one that is there")
	case o.genesis != "" && (o.open || o.validators != ""):
		return fault.New(fault.Invalid, "make a node: --genesis says all there is to say of the network; leave --open and --validators out")
	case o.state != "" && o.genesis == "":
		return fault.New(fault.Invalid, "make a node: --state is for --genesis FILE")
	case o.open && o.validators != "":
		return fault.New(fault.Invalid, "make a node: an open network has no ledger, and no validators; leave --open or --validators out")
	}
	return nil
}

func (a *app) init(ctx context.Context, o initOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := a.needHome(); err != nil {
		return err
	}
	before, err := node.ReadHome(a.home)
	existed := err == nil
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return fmt.Errorf("make a node: %w", err)
	}
	info, err := a.makeHome(ctx, o, before)
	if err == nil && o.validator {
		_, err = ownValidator(a.home)
	}
	if err != nil {
		return fmt.Errorf("make a node: %w", err)
	}
	return a.show(map[string]any{
		"id": info.ID.String(), "home": a.home, "existed": existed,
		"network": map[string]any{"name": info.Network, "id": info.NetworkID.String(), "open": info.Open},
	}, func() {
		if existed {
			a.printf("%s is a node already\n", a.home)
		}
		a.printf("peer id  %s\nnetwork  %s\nhome     %s\nnext     %s\n", info.ID, networkText(info.Network, info.Open), a.home, a.withHome("moot run"))
	})
}

// networkText names a network for people.
func networkText(name string, open bool) string {
	if open {
		return name + " (open)"
	}
	return name
}

// makeHome makes the home a node, or leaves it as it is when it is one of that network already; before is what it was.
func (a *app) makeHome(ctx context.Context, o initOptions, before node.HomeInfo) (node.HomeInfo, error) {
	switch {
	case o.configMap != "":
		return a.enterByConfigMap(ctx, o, before)
	case o.open:
		return node.InitHome(a.home, o.network)
	case o.genesis != "":
		g, err := a.readGenesis(ctx, o.genesis)
		if err != nil {
			return node.HomeInfo{}, err
		}
		return a.join(g, o.genesis, o, before)
	case before.Network == o.network && !before.Open:
		return before, nil
	case before.Network != "":
		return node.HomeInfo{}, fault.New(fault.Conflict, "home %s is a node of network %s: give another --home", a.home, quoteKey(networkText(before.Network, before.Open)))
	}
	return a.found(ctx, o)
}

// join makes the home a node of the network that began with a genesis. from says where that is from. The options may name the network, and where its ledger goes on from another one they have the file with that one's last state.
func (a *app) join(g *ledger.Genesis, from string, o initOptions, before node.HomeInfo) (node.HomeInfo, error) {
	if o.network != "" && o.network != g.Network {
		return node.HomeInfo{}, fault.New(fault.Invalid, "%s is the genesis of network %s, not of %s", from, quoteKey(g.Network), quoteKey(o.network))
	}
	switch {
	case before.Genesis != nil && before.Genesis.ID() == g.ID() && o.state == "":
		return before, nil
	case g.Predecessor == nil && o.state == "":
		return node.JoinHome(a.home, g)
	case o.state == "":
		return node.HomeInfo{}, advise(fault.New(fault.Invalid, "the network's ledger goes on from another one, whose last state is needed"), `give --state FILE, which "moot ledger recover state" writes at one of its nodes`)
	}
	f, err := os.Open(o.state)
	if err != nil {
		return node.HomeInfo{}, advise(fmt.Errorf("option --state: %w", err), "check the file's name")
	}
	defer f.Close()
	return node.JoinSuccessor(a.home, g, f)
}

// found founds a network.
func (a *app) found(ctx context.Context, o initOptions) (node.HomeInfo, error) {
	founders, err := a.founders(ctx, o)
	if err != nil {
		return node.HomeInfo{}, err
	}
	var validators []ledger.GenesisValidator
	var members []ledger.GenesisMember
	for _, f := range founders {
		validators = append(validators, f.GenesisValidator)
		if !o.membersOnly {
			continue
		}
		key, err := memberKey(f.Member)
		if err != nil {
			return node.HomeInfo{}, err
		}
		members = append(members, ledger.GenesisMember{Key: key, Name: f.Name})
	}
	g, err := node.NewGenesis(o.network, validators, members...)
	if err != nil {
		return node.HomeInfo{}, err
	}
	return node.JoinHome(a.home, g)
}

// founder is one of those that found a network: what "moot ledger validators key" prints.
type founder struct {
	ledger.GenesisValidator
	// Member is the peer id of its node, and Name what people call it.
	Member string `json:"member,omitempty"`
	Name   string `json:"name,omitempty"`
}

// founders returns those of the file of validators, or this node alone.
func (a *app) founders(ctx context.Context, o initOptions) (list []founder, err error) {
	if o.validators == "" {
		own, err := ownFounder(a.home)
		return []founder{own}, err
	}
	return list, a.readDocument(ctx, o.validators, &list)
}

// memberKey returns the key of a peer id.
func memberKey(text string) (key ledger.PublicKey, err error) {
	if text == "" {
		return key, advise(fault.New(fault.Invalid, "the file of validators does not say which peer each is: a network for members only begins with theirs"),
			`take what "moot ledger validators key" prints at each, or say --members-only=false`)
	}
	id, err := peer.Decode(text)
	if err != nil {
		return key, fault.New(fault.Invalid, "member %s is no peer id", quoteKey(text))
	}
	keys, ok := ledger.MemberAccount(string(id))
	if !ok {
		return key, fault.New(fault.Invalid, "member %s has no Ed25519 key", id)
	}
	return keys.Keys[0], nil
}

// ownFounder returns what the node of home would be among the founders. Its identity is made where it is not there.
func ownFounder(home string) (f founder, err error) {
	if f.GenesisValidator, err = ownValidator(home); err != nil {
		return f, err
	}
	key, err := node.Identity(home)
	if err != nil {
		return f, fmt.Errorf("the node's identity: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	f.Member = id.String()
	return f, err
}

// ownValidator returns the validator that the node of home would be, with its key and the account that speaks for it, which are made where they are not there.
func ownValidator(home string) (v ledger.GenesisValidator, err error) {
	folder := accounts.Folder(filepath.Join(home, node.AccountsDir))
	operator, err := folder.Own(operatorName)
	if fault.KindOf(err) == fault.NotFound {
		operator, err = folder.Create(operatorName, nil)
	}
	if err != nil {
		return v, fmt.Errorf("the validator's account: %w", err)
	}
	key, err := node.ValidatorKey(home)
	return ledger.GenesisValidator{Key: key, Power: 1, Operator: operator.ID()}, err
}

func (a *app) readGenesis(ctx context.Context, file string) (*ledger.Genesis, error) {
	data, err := a.readInput(ctx, file, ledger.MaxGenesis)
	if err != nil {
		return nil, err
	}
	g, err := ledger.ParseGenesis(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return g, nil
}

// readDocument reads a JSON document.
func (a *app) readDocument(ctx context.Context, file string, doc any) error {
	data, err := a.readInput(ctx, file, ledger.MaxGenesis)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, doc); err != nil {
		return fault.New(fault.Invalid, "%s can't be read: %w", file, err)
	}
	return nil
}

// withHome adds --home to a command that is shown to the user, where this one was given it.
func (a *app) withHome(command string) string {
	if a.homeGiven {
		return command + " --home " + shellQuote(a.home)
	}
	return command
}

// withNode returns a command as it is to be typed for the same home and node.
func (a *app) withNode(command string) string { return a.withHome(command) + a.sameNode }

// mustSayOpen is the error for a network that is named where there is no node yet: founding one is not done by running.
func mustSayOpen(what, network string) error {
	return advise(fault.New(fault.Invalid, "%s: there is no node of network %s yet", what, quoteKey(network)),
		`found the network with "moot init --network NAME", enter one with "moot init --genesis FILE", or say --open if everybody who knows the name may enter`)
}
