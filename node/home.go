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
	"github.com/folkmoot/folkmoot/internal/atomicfile"
	"github.com/folkmoot/folkmoot/swarm"
)

// Names of what a home folder holds.
const (
	identityFile = "identity.key"
	networkFile  = "network.json"
	runningFile  = "api.json"
	lockFile     = "lock"
	peersFile    = "peers.json"
	recordsDir   = "records"
)

// homeFormat is the version of the home folder's layout; an older program refuses a newer one.
const homeFormat = 1

// HomeInfo is what a home folder says of its node.
type HomeInfo struct {
	ID        peer.ID
	Network   string
	NetworkID swarm.NetworkID
	Open      bool
}

type networkDocument struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	Open   bool   `json:"open"`
	ID     string `json:"id"`
}

// InitHome makes home a node of the open network called network: the folder, an identity, the network's document. Where that is done already it
// changes nothing; where it was begun it finishes. It is fault.Conflict when home belongs to another network.
func InitHome(home, network string) (HomeInfo, error) {
	id, err := swarm.OpenNetwork(network)
	if err != nil {
		return HomeInfo{}, err
	}
	info, err := ReadHome(home)
	switch {
	case err == nil && info.NetworkID == id:
		return info, nil
	case err == nil:
		return HomeInfo{}, fault.New(fault.Conflict, "home %s is a node of network %q, not of %q: give another --home, or leave --network out", home, info.Network, network)
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
	doc := networkDocument{Format: homeFormat, Name: network, Open: true, ID: id.String()}
	if err := writeJSON(filepath.Join(home, networkFile), doc); err != nil {
		return HomeInfo{}, fmt.Errorf("write the network's document: %w", err)
	}
	return ReadHome(home)
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
	id, err := swarm.OpenNetwork(doc.Name)
	if err != nil || !doc.Open || doc.ID != id.String() {
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
	return HomeInfo{ID: self, Network: doc.Name, NetworkID: id, Open: doc.Open}, nil
}

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

// maxDocument bounds the small JSON documents of a home folder.
const maxDocument = 64 << 10

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
