package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/apitoken"
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
)

// Names of what a home folder holds.
const (
	identityFile = "identity.key"
	networkFile  = "network.json"
	runningFile  = "api.json"
	lockFile     = "lock"
	peersFile    = "peers.json"
	membersFile  = "members.json"
	recordsDir   = "records"
	ledgerDir    = "ledger"
	validatorDir = "validator"
	// AccountsDir holds the keys of accounts and the address book, which the commands use.
	AccountsDir = "accounts"
	// tokensFile holds what is known of the API's tokens.
	tokensFile = "tokens.json"
)

// homeFormat is the version of the home folder's layout; an older program refuses a newer one. ledgerFormat is that of a home whose network has a ledger, and successorFormat that of one whose ledger goes on from another.
const (
	homeFormat      = 3
	openFormat      = 1
	ledgerFormat    = 2
	successorFormat = 3
)

// HomeInfo is what a home folder says of its node.
type HomeInfo struct {
	ID        peer.ID
	Network   string
	NetworkID swarm.NetworkID
	// Open says that everybody who knows the network's name may enter; otherwise the network has a ledger, which began with Genesis, and so did the network unless that has a predecessor.
	Open    bool
	Genesis *ledger.Genesis
}

// networkDocument names the network of a home. With a genesis, name and id are the genesis's, the id that of the first ledger of the network.
type networkDocument struct {
	Format  int             `json:"format"`
	Name    string          `json:"name"`
	Open    bool            `json:"open"`
	ID      string          `json:"id"`
	Genesis *ledger.Genesis `json:"genesis,omitempty"`
}

// openDocument returns the document of the open network called name.
func openDocument(name string) (networkDocument, error) {
	id, err := swarm.OpenNetwork(name)
	return networkDocument{Format: openFormat, Name: name, Open: true, ID: id.String()}, err
}

// foundedDocument returns the document of the network that began with a genesis.
func foundedDocument(g *ledger.Genesis) (networkDocument, error) {
	if _, err := swarm.OpenNetwork(g.Network); err != nil { // one rule for names
		return networkDocument{}, err
	}
	if err := g.Validate(); err != nil {
		return networkDocument{}, err
	}
	doc := networkDocument{Format: ledgerFormat, Name: g.Network, ID: swarm.NetworkID(g.Origin()).String(), Genesis: g}
	if g.Predecessor != nil {
		doc.Format = successorFormat
	}
	return doc, nil
}

// check returns the network's id when the parts of a document belong together.
func (d *networkDocument) check() (swarm.NetworkID, bool) {
	want, err := openDocument(d.Name)
	if d.Genesis != nil {
		want, err = foundedDocument(d.Genesis)
	}
	if err != nil || want.Format != d.Format || want.Name != d.Name || want.Open != d.Open || want.ID != d.ID {
		return swarm.NetworkID{}, false
	}
	id, err := swarm.ParseNetworkID(d.ID)
	return id, err == nil
}

// InitHome makes home a node of the open network called network: the folder, an identity, the network's document. Where that is done already it
// changes nothing; where it was begun it finishes. It is fault.Conflict when home belongs to another network.
func InitHome(home, network string) (HomeInfo, error) {
	doc, err := openDocument(network)
	if err != nil {
		return HomeInfo{}, err
	}
	return initHome(home, doc)
}

// JoinHome makes home a node of the network that began with a genesis. It is like InitHome otherwise.
func JoinHome(home string, genesis *ledger.Genesis) (HomeInfo, error) {
	doc, err := foundedDocument(genesis)
	if err != nil {
		return HomeInfo{}, err
	}
	return initHome(home, doc)
}

func initHome(home string, doc networkDocument) (HomeInfo, error) {
	info, err := ReadHome(home)
	switch {
	case err == nil && info.NetworkID.String() == doc.ID && sameLedger(info.Genesis, doc.Genesis):
		return info, nil
	case err == nil && info.NetworkID.String() == doc.ID:
		return HomeInfo{}, fault.New(fault.Conflict, "home %s is a node of this network, whose ledger is %s there, and %s here: \"moot ledger recover\" makes one go on from the other", home, info.Genesis.ID(), doc.Genesis.ID())
	case err == nil && info.Network == doc.Name:
		return HomeInfo{}, fault.New(fault.Conflict, "home %s is a node of another network that is called %q, too: give another --home", home, info.Network)
	case err == nil:
		return HomeInfo{}, fault.New(fault.Conflict, "home %s is a node of network %q, not of %q: give another --home, or leave --network out", home, info.Network, doc.Name)
	case fault.KindOf(err) != fault.NotFound:
		return HomeInfo{}, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return HomeInfo{}, fmt.Errorf("make home folder: %w", err)
	}
	identity := filepath.Join(home, identityFile)
	if _, err := os.Lstat(identity); errors.Is(err, fs.ErrNotExist) {
		if _, err := swarm.CreateIdentity(identity); err != nil {
			return HomeInfo{}, fmt.Errorf("make identity: %w", err)
		}
	}
	if err := writeJSON(filepath.Join(home, networkFile), doc); err != nil {
		return HomeInfo{}, fmt.Errorf("write the network's document: %w", err)
	}
	return ReadHome(home)
}

// sameLedger says whether two geneses are of one ledger; nil is none.
func sameLedger(a, b *ledger.Genesis) bool {
	return a == nil && b == nil || a != nil && b != nil && a.ID() == b.ID()
}

// ReadHome tells what node home holds. It is fault.NotFound when there is none.
func ReadHome(home string) (HomeInfo, error) {
	var doc networkDocument
	path := filepath.Join(home, networkFile)
	if err := readJSON(path, &doc); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return HomeInfo{}, fault.New(fault.NotFound, "home %s holds no node", home)
		}
		return HomeInfo{}, fmt.Errorf("read the network's document: %w", err)
	}
	if doc.Format > homeFormat {
		return HomeInfo{}, fault.New(fault.Invalid, "%s: format %d was written by a newer program; this one reads up to %d", path, doc.Format, homeFormat)
	}
	id, ok := doc.check()
	if !ok {
		return HomeInfo{}, fault.New(fault.Invalid, "%s is damaged: name and id do not belong together; restore it or use another --home", path)
	}
	key, err := swarm.LoadIdentity(filepath.Join(home, identityFile))
	if err != nil {
		return HomeInfo{}, fmt.Errorf("load identity: %w", err)
	}
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return HomeInfo{}, fmt.Errorf("derive peer id: %w", err)
	}
	return HomeInfo{ID: self, Network: doc.Name, NetworkID: id, Open: doc.Open, Genesis: doc.Genesis}, nil
}

// Tokens returns the file of the tokens that the API of home's node gives access to.
func Tokens(home string) apitoken.File { return apitoken.File(filepath.Join(home, tokensFile)) }

type runningDocument struct {
	URL   string `json:"url"`
	Token string `json:"token,omitempty"`
	PID   int    `json:"pid"`
}

// RunningAPI returns the API address and token that the node running on home left there. It is fault.NotFound when
// none runs or the one that runs has no API. After a crash the answer may be stale.
func RunningAPI(home string) (url, token string, err error) {
	var doc runningDocument
	if err := readJSON(filepath.Join(home, runningFile), &doc); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", fault.New(fault.NotFound, "no node runs on home %s", home)
		}
		return "", "", fmt.Errorf("read the running node's address: %w", err)
	}
	return doc.URL, doc.Token, nil
}

// maxDocument bounds the small JSON documents of a home folder, of which one may hold a genesis.
const maxDocument = 64<<10 + ledger.MaxGenesis

func readJSON(path string, v any) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Size() > maxDocument {
		return fault.New(fault.Invalid, "%s: %d bytes, over the limit of %d", path, st.Size(), maxDocument)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fault.New(fault.Invalid, "%s is damaged: %v", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(b, '\n'), 0o600)
}
