package foreign

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2prouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"

	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/swarm"
)

// anything is the validator of the namespace "v": the longer value is the better one.
type anything struct{}

func (anything) Validate(string, []byte) error { return nil }

func (anything) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i := range values {
		if len(values[i]) > len(values[best]) {
			best = i
		}
	}
	return best, nil
}

// A kadPeer is a peer of go-libp2p-kad-dht as it comes.
type kadPeer struct {
	*dht.IpfsDHT
	host      host.Host
	messenger *pb.ProtocolMessenger
	validator *records.Validator
}

// startKad starts a foreign peer that knows the first of the nodes alone, and returns once it has found them all.
func startKad(t *testing.T, id swarm.NetworkID, mode dht.ModeOpt, nodes []*node.Node) *kadPeer {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	k := &kadPeer{host: h, validator: records.NewValidator(id)}
	k.IpfsDHT, err = dht.New(h, dht.ProtocolPrefix(protocol.ID("/folkmoot/"+id.String())), dht.Mode(mode), dht.BootstrapPeers(),
		dht.NamespacedValidator("v", anything{}), dht.NamespacedValidator("pk", record.PublicKeyValidator{}),
		dht.NamespacedValidator(records.SignedNamespace, k.validator))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	if k.messenger, err = pb.NewProtocolMessenger(k.MessageSender()); err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(t.Context(), addrInfo(t, nodes[0])); err != nil {
		t.Fatal(err)
	}
	until(t, "the foreign peer knows all nodes", nil, func() bool {
		if k.RoutingTable().Size() > 0 && k.RoutingTable().Size() < len(nodes) {
			<-k.RefreshRoutingTable()
		}
		return k.RoutingTable().Size() >= len(nodes)
	})
	return k
}

func cidOf(t *testing.T, data string) cid.Cid {
	t.Helper()
	h, err := multihash.Sum([]byte(data), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

func TestKadDHT(t *testing.T) {
	id := networkID(t)
	nodes := startNetwork(t, 3)
	mustPut(t, nodes[1], "greeting", "hello from a member")
	for name, mode := range map[string]dht.ModeOpt{"client": dht.ModeClient, "server": dht.ModeServer} {
		t.Run(name, func(t *testing.T) {
			k, other := startKad(t, id, mode, nodes), startKad(t, id, mode, nodes)
			t.Run("values", func(t *testing.T) { values(t, nodes, k, other, "/v/of a "+name) })
			t.Run("public keys", func(t *testing.T) { publicKeys(t, nodes, k, other) })
			t.Run("signed records", func(t *testing.T) { signedRecords(t, nodes, k) })
			t.Run("providers", func(t *testing.T) { providers(t, nodes, k, other, name) })
			t.Run("refusals", func(t *testing.T) { refusals(t, nodes, k) })
			t.Run("peers", func(t *testing.T) {
				want := nodes[2].ID()
				if info, err := k.FindPeer(t.Context(), want); err != nil || info.ID != want || len(info.Addrs) == 0 {
					t.Errorf("found %v, %v; want %s", info, err, want)
				}
			})
		})
	}
}

// values: a foreign peer puts, another one and the members read.
func values(t *testing.T, nodes []*node.Node, k, other *kadPeer, key string) {
	member := "kad/v/" + "of%20a%20" + key[len("/v/of a "):]
	for _, value := range []string{"first", "second one"} {
		if err := k.PutValue(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := other.GetValue(t.Context(), key); err != nil || string(got) != value {
			t.Errorf("another foreign peer reads %q, %v; want %q", got, err, value)
		}
		for _, n := range nodes {
			wantValue(t, n, member, value)
		}
	}
	if got, err := other.GetValue(t.Context(), "/v/none"); !errors.Is(err, libp2prouting.ErrNotFound) {
		t.Errorf("what is not there is read as %q, %v", got, err)
	}
	for _, n := range nodes { // each has it, as each is asked by those who put
		rec, _, err := k.messenger.GetValue(t.Context(), n.ID(), key)
		if err != nil || string(rec.GetValue()) != "second one" {
			t.Errorf("node %s has %v, %v", n.ID(), rec, err)
		}
	}
}

// publicKeys: the namespace that kad-dht brings itself, whose keys are bytes.
func publicKeys(t *testing.T, nodes []*node.Node, k, other *kadPeer) {
	public, err := crypto.MarshalPublicKey(k.host.Peerstore().PubKey(k.host.ID()))
	if err != nil {
		t.Fatal(err)
	}
	key := libp2prouting.KeyForPublicKey(k.host.ID())
	if err := k.PutValue(t.Context(), key, public); err != nil {
		t.Fatal(err)
	}
	if got, err := other.GetValue(t.Context(), key); err != nil || string(got) != string(public) {
		t.Errorf("read %x, %v; want %x", got, err, public)
	}
	// Another value is refused by the members, whatever the foreign peer's own validator says.
	for _, n := range nodes {
		if err := k.messenger.PutValue(t.Context(), n.ID(), &recpb.Record{Key: []byte(key), Value: []byte("forged")}); err == nil {
			t.Errorf("node %s took a forged public key", n.ID())
		}
	}
}

// signedRecords: a foreign peer reads what members signed, from any node, and cannot change it.
func signedRecords(t *testing.T, nodes []*node.Node, k *kadPeer) {
	const key = "/moot/greeting"
	envelope, err := k.GetValue(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := k.validator.Open(envelope)
	if err != nil || string(r.Value) != "hello from a member" || r.Author != nodes[1].ID() || r.Key != "greeting" {
		t.Errorf("read %+v, %v", r, err)
	}
	for _, value := range [][]byte{[]byte("forged"), envelope} {
		for _, n := range nodes {
			if err := k.messenger.PutValue(t.Context(), n.ID(), &recpb.Record{Key: []byte(key), Value: value}); err == nil {
				t.Errorf("node %s took a signed record from a foreign peer", n.ID())
			}
		}
	}
	again, err := k.GetValue(t.Context(), key)
	if err != nil || string(again) != string(envelope) {
		t.Errorf("after forgeries the record is %x, %v", again, err)
	}
	if got, err := k.GetValue(t.Context(), "/moot/nothing"); !errors.Is(err, libp2prouting.ErrNotFound) {
		t.Errorf("a record that is not there is read as %q, %v", got, err)
	}
}

// providers: members and foreign peers find one another, by the text of a key and by content.
func providers(t *testing.T, nodes []*node.Node, k, other *kadPeer, name string) {
	rendezvous, content := "rendezvous of a "+name, "content of a "+name
	for key, c := range map[string]cid.Cid{
		rendezvous: cidOf(t, rendezvous), fmt.Sprintf("sha256/%x", sha256.Sum256([]byte(content))): cidOf(t, content),
	} {
		if _, err := nodes[2].Records().Provide(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if err := k.Provide(t.Context(), c, true); err != nil {
			t.Fatal(err)
		}
		wantProviders(t, other, c, nodes[2].ID(), k.host.ID())
		for _, n := range nodes {
			until(t, "a member finds the foreign provider of "+key, nil, func() bool { return foundBy(t, n, key, nodes[2].ID(), k.host.ID()) })
		}
	}
}

// wantProviders waits until a foreign peer finds the providers: a provider is not told when its word has arrived.
func wantProviders(t *testing.T, k *kadPeer, c cid.Cid, want ...peer.ID) {
	t.Helper()
	until(t, fmt.Sprintf("a foreign peer finds %v", want), nil, func() bool {
		found, err := k.FindProviders(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return len(found) == len(want) && !slices.ContainsFunc(found, func(i peer.AddrInfo) bool { return !slices.Contains(want, i.ID) || len(i.Addrs) == 0 })
	})
}

// foundBy reports whether a member finds exactly one member and one foreign peer as providers.
func foundBy(t *testing.T, n *node.Node, key string, member, foreign peer.ID) bool {
	t.Helper()
	list, err := n.Records().Providers(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	ok := 0
	for _, p := range list {
		if p.ID == member && !p.Foreign || p.ID == foreign && p.Foreign && len(p.Addrs) > 0 {
			ok++
		}
	}
	return ok == 2 && len(list) == 2
}

// refusals: no echo, and nothing is stored.
func refusals(t *testing.T, nodes []*node.Node, k *kadPeer) {
	for name, rec := range map[string]*recpb.Record{
		"a value too large": {Key: []byte("/v/large"), Value: make([]byte, records.MaxForeignValue+1)},
		"a key too long":    {Key: []byte("/v/" + string(make([]byte, records.MaxForeignKey))), Value: []byte("v")},
		"no namespace":      {Key: []byte("plain"), Value: []byte("v")},
	} {
		for _, n := range nodes {
			if err := k.messenger.PutValue(t.Context(), n.ID(), rec); err == nil {
				t.Errorf("node %s took %s", n.ID(), name)
			}
		}
	}
	if rec, _, err := k.messenger.GetValue(t.Context(), nodes[0].ID(), "/v/large"); err != nil || rec != nil {
		t.Errorf("what was refused is there: %v, %v", rec, err)
	}
	c := cidOf(t, "somebody else's")
	stranger := peer.AddrInfo{ID: nodes[1].ID(), Addrs: nodes[1].Addrs()}
	if err := k.messenger.PutProviderAddrs(t.Context(), nodes[0].ID(), c.Hash(), stranger); err != nil {
		t.Fatal(err) // it is sent; nobody says what became of it
	}
	if found, _, err := k.messenger.GetProviders(t.Context(), nodes[0].ID(), c.Hash()); err != nil || len(found) != 0 {
		t.Errorf("a peer spoke for another: %v, %v", found, err)
	}
}
