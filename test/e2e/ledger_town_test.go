//go:build e2e && linux

package e2e

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/folkmoot/folkmoot/api/client"
	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/test/ledgercheck"
	"github.com/folkmoot/folkmoot/test/netns"
)

const (
	// ledgerPatience bounds waits for what must come of the ledger; it is long because the machine may be busy.
	ledgerPatience = 90 * time.Second
	// validators is how many a town has: the fewest that go on without one.
	validators = 4
	// inhabitants is how many accounts move money, and wealth what each has in the beginning, in cents.
	inhabitants = 8
	wealth      = 100_000
)

// seedVariable repeats a test's random choices.
const seedVariable = "MOOT_SEED"

// An inhabitant is somebody with an account of one key.
type inhabitant struct {
	key  ed25519.PrivateKey
	keys ledger.KeySet
	id   ledger.AccountID
}

// A town is a network of validators, each a process on a host of its own on one link, with people whose money is recorded in its ledger.
type town struct {
	t       *testing.T
	link    *netns.Link
	hosts   []*netns.Host
	peers   []*peer
	clients []*client.Client // one for each peer
	random  *rand.Rand       // of the test itself, not of its clients
	seed    uint64

	network ledger.Hash
	asset   ledger.AssetID
	bank    *inhabitant
	people  []*inhabitant
	history ledgercheck.History
}

// newTown founds a town as its parties would with the commands, starts it, and gives its people money.
func newTown(t *testing.T) *town {
	t.Helper()
	return newTownIn(t, func(*town) {})
}

// newTownIn is newTown with something done before any peer has a home.
func newTownIn(t *testing.T, before func(*town)) *town {
	t.Helper()
	n := &town{t: t, seed: newSeed(t)}
	n.random = rand.New(rand.NewPCG(n.seed, 0))
	lab := newLab(t)
	n.link = newLink(t, lab, "link")
	for i := range validators {
		host := newHost(t, lab, fmt.Sprint("v", i), n.link)
		n.hosts = append(n.hosts, host)
		n.peers = append(n.peers, newPeer(t, host, fmt.Sprint("v", i)))
	}
	before(n)
	n.found()
	n.start(n.peers...)
	meet(t, n.peers...)
	for range inhabitants {
		n.people = append(n.people, n.newInhabitant())
	}
	n.bank = n.newInhabitant()
	n.endow()
	return n
}

// newSeed returns a seed that it prints, or the one asked for.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		check(t, err)
	}
	t.Logf("%s=%d", seedVariable, seed)
	return seed
}

// found makes the peers the validators of a new network.
func (n *town) found() {
	n.t.Helper()
	var parties []json.RawMessage
	for _, p := range n.peers {
		parties = append(parties, json.RawMessage(p.do("ledger", "validators", "key")))
	}
	list, err := json.Marshal(parties)
	check(n.t, err)
	first := n.peers[0]
	first.feed(string(list), "init", "--network", networkName(n.t), "--validators", "-")
	first.Args = []string{"--mdns=false"}
	first.start()
	genesis := first.do("ledger", "genesis")
	check(n.t, first.Kill())
	for i, p := range n.peers {
		if i > 0 {
			p.feed(genesis, "init", "--genesis", "-")
		}
		p.Args = []string{"--mdns=false"}
		for j, host := range n.hosts {
			if j != i {
				p.Args = append(p.Args, "--bootstrap", tcp(host, n.link))
			}
		}
	}
	g, err := ledger.ParseGenesis([]byte(genesis))
	check(n.t, err)
	n.network = g.ID()
}

// start starts peers at once, waits until they serve, and makes clients of them.
func (n *town) start(peers ...*peer) {
	n.t.Helper()
	for _, p := range peers {
		check(n.t, p.Start())
	}
	for _, p := range peers {
		p.waitReady()
	}
	if n.clients == nil {
		for _, p := range n.peers {
			url, err := p.URL()
			check(n.t, err)
			c, err := client.New(url, client.Options{HTTPClient: p.HTTPClient()})
			check(n.t, err)
			n.t.Cleanup(func() { check(n.t, c.Close()) })
			n.clients = append(n.clients, c)
		}
	}
}

func (n *town) newInhabitant() *inhabitant {
	var seed [ed25519.SeedSize]byte
	for i := range seed {
		seed[i] = byte(n.random.Uint32())
	}
	key := ed25519.NewKeyFromSeed(seed[:])
	keys := ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
	return &inhabitant{key, keys, keys.ID()}
}

// sign makes a transaction that one account signs.
func (n *town) sign(salt uint64, by *inhabitant, operations ...ledger.Operation) (id string, encoded []byte, err error) {
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: time.Now().Add(20 * time.Minute).UnixMilli(), Salt: salt, Operations: operations}}
	if err := t.Sign(n.network, by.id, &by.keys, by.key); err != nil {
		return "", nil, err
	}
	encoded, err = ledger.EncodeTransaction(t)
	return t.ID(n.network).String(), encoded, err
}

// endow gives the people money, and waits until every node knows that they have it.
func (n *town) endow() {
	n.t.Helper()
	n.asset = ledger.AssetID{Code: "EUR", Issuer: n.bank.id}
	operations := []ledger.Operation{&ledger.DefineAsset{Asset: n.asset, Scale: 2}}
	for _, p := range n.people {
		operations = append(operations, &ledger.Issue{Asset: n.asset, To: p.id, Amount: ledger.NewAmount(wealth)})
	}
	_, encoded, err := n.sign(0, n.bank, operations...)
	check(n.t, err)
	var done v1.TransactionStatus
	eventually(n.t, ledgerPatience, func() (err error) {
		done, err = n.clients[0].SubmitTransaction(n.t.Context(), encoded, v1.SubmitOptions{})
		return err
	})
	if !done.Applied {
		n.t.Fatalf("the founding transaction failed: %s", done.Failure)
	}
	n.reach(done.Height, n.peers...)
}

// status returns how the ledger fares at a peer.
func (n *town) status(p *peer) (v1.Ledger, error) {
	return n.clients[slices.Index(n.peers, p)].Ledger(n.t.Context())
}

// height returns the height of a peer's last block.
func (n *town) height(p *peer) int64 {
	n.t.Helper()
	s, err := n.status(p)
	check(n.t, err)
	return s.Height
}

// reach waits until peers have a block.
func (n *town) reach(height int64, peers ...*peer) {
	n.t.Helper()
	for _, p := range peers {
		eventually(n.t, ledgerPatience, func() error {
			s, err := n.status(p)
			if err == nil && (s.Height < height || s.Syncing) {
				err = fmt.Errorf("%s is at height %d, syncing %t, want %d: %s", p.name, s.Height, s.Syncing, height, s.Problem)
			}
			return err
		})
	}
}

// wipe removes a folder of a peer's home; the peer does not run.
func wipe(t *testing.T, p *peer, folder string) {
	t.Helper()
	check(t, os.RemoveAll(filepath.Join(p.Home, folder)))
}
