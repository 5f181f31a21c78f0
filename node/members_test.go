package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/node"
	"github.com/folkmoot/folkmoot/records"
	"github.com/folkmoot/folkmoot/swarm"
)

// memberOf returns the key of a home's identity, which is made where it is not there, with its peer id.
func memberOf(t *testing.T, home string) (ledger.GenesisMember, peer.ID) {
	t.Helper()
	key, err := node.Identity(home)
	if err != nil {
		t.Fatal(err)
	}
	public, err := node.MemberKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.GenesisMember{Key: public}, peer.ID(ledger.MemberOf(public))
}

// foundClub founds a network for members only with a home, which is its validator and first member.
func foundClub(t *testing.T, home string, operator ledger.AccountID) *ledger.Genesis {
	t.Helper()
	key, err := node.ValidatorKey(home)
	if err != nil {
		t.Fatal(err)
	}
	founder, _ := memberOf(t, home)
	g, err := node.NewGenesis("test", []ledger.GenesisValidator{{Key: key, Power: 1, Operator: operator}}, founder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.JoinHome(home, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func clubNode(t *testing.T, home string, others ...*node.Node) (*node.Node, func() error) {
	t.Helper()
	cfg := loopback(home)
	cfg.Network = ""
	for _, n := range others {
		cfg.Bootstrap = append(cfg.Bootstrap, n.Addrs()...)
	}
	return start(t, cfg)
}

// provenIn returns the receipt that a home keeps, once it says that a peer is a member.
func provenIn(t *testing.T, home string, g *ledger.Genesis, member peer.ID) []byte {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		b, err := admission.OpenBook(admission.BookConfig{Genesis: g, Self: member, Path: filepath.Join(home, "members.json")})
		if err == nil && b.Allowed(member) && b.Proven() {
			data, _ := b.Receipt()
			return data
		}
	}
	t.Fatal("the home has no receipt of the members")
	return nil
}

// TestMembersByTheLedger: an operator admits a peer, which enters with its genesis, and whose records are taken; it shows its receipt to a member that does not know it; it is expelled, is cut off, and what it writes later is refused.
func TestMembersByTheLedger(t *testing.T) {
	operator := newSignatory(t)
	homes := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	g := foundClub(t, homes[0], operator.id)
	founder, stopFounder := clubNode(t, homes[0])
	var ids []peer.ID
	for _, home := range homes[1:] {
		_, id := memberOf(t, home)
		ids = append(ids, id)
		if _, err := node.JoinHome(home, g); err != nil {
			t.Fatal(err)
		}
	}
	submit := func(n *node.Node, op ledger.Operation) {
		t.Helper()
		done, err := clientOf(t, n).SubmitTransaction(t.Context(), operator.sign(t, g.ID(), op), v1.SubmitOptions{})
		if err != nil || !done.Applied {
			t.Fatalf("%s: %+v, %v", op.Kind(), done, err)
		}
	}
	submit(founder, &ledger.Admit{By: operator.id, Member: string(ids[0]), Name: "one"})
	one, _ := clubNode(t, homes[1], founder)
	untilAlive(t, founder, 2)
	proof := provenIn(t, homes[0], g, ids[0])
	forgeries(t, g, proof)
	if _, err := one.Records().Put(t.Context(), "tide", []byte("high"), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}

	if err := stopFounder(); err != nil {
		t.Fatal(err)
	}
	provenIn(t, homes[1], g, ids[0])
	letsIn(t, homes[0], g, one)
	// The founder has lost all that it knew, and asks whom it is told of.
	for _, name := range []string{"members.json", "ledger"} {
		if err := os.RemoveAll(filepath.Join(homes[0], name)); err != nil {
			t.Fatal(err)
		}
	}
	founder, _ = clubNode(t, homes[0], one)
	untilAlive(t, founder, 2)
	untilAlive(t, one, 2)
}

// forgeries changes a receipt in all kinds of ways: nothing but the receipt itself proves anything.
func forgeries(t *testing.T, g *ledger.Genesis, proof []byte) {
	t.Helper()
	if s, err := admission.Prove(g, proof); err != nil || len(s.Members) != 2 {
		t.Fatalf("the receipt says %+v, %v", s.Members, err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		forged := bytes.Clone(proof)
		i := rng.IntN(len(forged))
		forged[i] = "0123456789abcdefABCDEF+/="[rng.IntN(25)]
		if bytes.Equal(forged, proof) {
			continue
		}
		if _, err := admission.Prove(g, forged); err == nil {
			t.Fatalf("with byte %d changed from %q to %q it proves something", i, proof[i], forged[i])
		}
	}
	for why, change := range map[string]func(entries []any) []any{
		"one left out":  func(e []any) []any { return e[:1] },
		"one twice":     func(e []any) []any { return append(e, e[1]) },
		"another order": func(e []any) []any { return []any{e[1], e[0]} },
		"none":          func([]any) []any { return nil },
	} {
		var doc map[string]any
		if err := json.Unmarshal(proof, &doc); err != nil {
			t.Fatal(err)
		}
		m := doc["members"].(map[string]any)
		m["entries"] = change(m["entries"].([]any))
		forged, err := json.MarshalIndent(doc, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admission.Prove(g, append(forged, '\n')); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// TestExpelledIsCutOff: the node of an expelled peer ends, those of the others go on without it, and what it wrote before stays. One that has no ledger is shown the proof at the door.
func TestExpelledIsCutOff(t *testing.T) {
	t.Run("with the ledger", func(t *testing.T) { expelledIsCutOff(t, false) })
	t.Run("without", func(t *testing.T) { expelledIsCutOff(t, true) })
}

func expelledIsCutOff(t *testing.T, noLedger bool) {
	operator := newSignatory(t)
	homes := []string{t.TempDir(), t.TempDir()}
	g := foundClub(t, homes[0], operator.id)
	founder, _ := clubNode(t, homes[0])
	_, id := memberOf(t, homes[1])
	if _, err := node.JoinHome(homes[1], g); err != nil {
		t.Fatal(err)
	}
	commit := func(op ledger.Operation) {
		t.Helper()
		done, err := clientOf(t, founder).SubmitTransaction(t.Context(), operator.sign(t, g.ID(), op), v1.SubmitOptions{})
		if err != nil || !done.Applied {
			t.Fatalf("%s: %+v, %v", op.Kind(), done, err)
		}
	}
	commit(&ledger.Admit{By: operator.id, Member: string(id), Name: "one"})
	cfg := loopback(homes[1], founder.Addrs()...)
	cfg.Network, cfg.NoLedger = "", noLedger
	one, err := node.New(cfg.Patient())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- one.Run(ctx) }()
	untilAlive(t, founder, 2)
	untilAlive(t, one, 2)
	if _, err := one.Records().Put(t.Context(), "tide", []byte("high"), records.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	commit(&ledger.Expel{By: operator.id, Member: string(id)})
	untilAlive(t, founder, 1)
	t.Logf("cut off after %s", time.Since(began))
	if founder.Connected(id) {
		t.Error("the connection is open")
	}
	select {
	case err := <-ended:
		if fault.KindOf(err) != fault.Forbidden || err == nil {
			t.Errorf("the node of the expelled peer ended: %v", err)
		}
	case <-time.After(patience):
		t.Error("the node of the expelled peer goes on")
	}
	if r, err := founder.Records().Get(t.Context(), "tide", records.GetOptions{Consistency: records.One}); err != nil || string(r.Value) != "high" {
		t.Errorf("what it wrote before is %q, %v", r.Value, err)
	}
}

// TestALieEndsNobody: a member that says the node was expelled, and can't prove it, does not end it, though the node has nobody else.
func TestALieEndsNobody(t *testing.T) {
	operator := newSignatory(t)
	home, hostile := t.TempDir(), t.TempDir()
	g := foundClub(t, home, operator.id)
	founder, stop := clubNode(t, home)
	key, err := node.Identity(hostile)
	if err != nil {
		t.Fatal(err)
	}
	_, id := memberOf(t, hostile)
	done, err := clientOf(t, founder).SubmitTransaction(t.Context(), operator.sign(t, g.ID(), &ledger.Admit{By: operator.id, Member: string(id), Name: "hostile"}), v1.SubmitOptions{})
	if err != nil || !done.Applied {
		t.Fatalf("%+v, %v", done, err)
	}
	_, self := memberOf(t, home)
	proof := provenIn(t, home, g, self)
	network := swarm.NetworkID(g.Origin())
	h := hostAt(t, key, network, founder)
	for _, shown := range [][]byte{nil, bytes.Replace(proof, []byte("A"), []byte("B"), 1)} {
		s, err := h.NewStream(t.Context(), founder.ID(), admission.LobbyProtocol(network))
		if err != nil {
			t.Fatal(err)
		}
		n := len(shown)
		_, _ = s.Write(append([]byte{2, byte(n >> 16), byte(n >> 8), byte(n)}, shown...)) // it was expelled
		_, _ = io.Copy(io.Discard, s)
		s.Reset()
	}
	if err := h.Network().ClosePeer(founder.ID()); err != nil {
		t.Fatal(err)
	}
	if err := founder.Weigh(id, errors.New("expelled")); err != nil {
		t.Errorf("it ends for a member's word: %v", err)
	}
	if _, err := clientOf(t, founder).Node(t.Context()); err != nil {
		t.Errorf("after the lie: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("it has ended: %v", err)
	}
}

// hostAt returns a host that knows where a node is, and follows no rule.
func hostAt(t *testing.T, key crypto.PrivKey, network swarm.NetworkID, n *node.Node) host.Host {
	t.Helper()
	h, err := swarm.NewVisitor(swarm.Config{Key: key, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for _, a := range n.Addrs() {
		transport, _ := peer.SplitAddr(a)
		h.Peerstore().AddAddr(n.ID(), transport, time.Hour)
	}
	return h
}

// TestWhoRefusesIsCutOffInTime: a member that says again and again that the node is none itself gains no time by that when it is expelled.
func TestWhoRefusesIsCutOffInTime(t *testing.T) {
	operator := newSignatory(t)
	home, hostile := t.TempDir(), t.TempDir()
	g := foundClub(t, home, operator.id)
	founder, _ := clubNode(t, home)
	commit := func(op ledger.Operation) {
		t.Helper()
		done, err := clientOf(t, founder).SubmitTransaction(t.Context(), operator.sign(t, g.ID(), op), v1.SubmitOptions{})
		if err != nil || !done.Applied {
			t.Fatalf("%s: %+v, %v", op.Kind(), done, err)
		}
	}
	key, err := node.Identity(hostile)
	if err != nil {
		t.Fatal(err)
	}
	_, id := memberOf(t, hostile)
	commit(&ledger.Admit{By: operator.id, Member: string(id), Name: "hostile"})
	network := swarm.NetworkID(g.Origin())
	h := hostAt(t, key, network, founder)
	refuse := func() {
		s, err := h.NewStream(t.Context(), founder.ID(), admission.LobbyProtocol(network))
		if err != nil {
			return
		}
		defer s.Reset()
		if _, err := s.Write([]byte{1, 0, 0, 0}); err != nil { // it is a stranger
			return
		}
		_, _ = io.Copy(io.Discard, s)
	}
	for range 5 {
		refuse()
	}
	if !founder.Connected(id) {
		t.Fatal("the hostile member is not connected")
	}
	time.Sleep(200 * time.Millisecond)
	commit(&ledger.Expel{By: operator.id, Member: string(id)})
	began := time.Now()
	for founder.Connected(id) && time.Since(began) < patience {
		refuse()
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it was cut off after %s", took)
	}
}

// letsIn has a member that knows the genesis alone, with the identity of a home whose node does not run, let a node in which shows its receipt.
func letsIn(t *testing.T, home string, g *ledger.Genesis, n *node.Node) {
	t.Helper()
	key, err := node.Identity(home)
	if err != nil {
		t.Fatal(err)
	}
	_, self := memberOf(t, home)
	book, err := admission.OpenBook(admission.BookConfig{Genesis: g, Self: self, Path: filepath.Join(t.TempDir(), "members.json")})
	if err != nil {
		t.Fatal(err)
	}
	network := swarm.NetworkID(g.Origin())
	lobby := admission.NewLobby(admission.LobbyConfig{Genesis: g, Self: self, Book: book, Ledger: func() admission.Ledger { return nil }})
	h, err := swarm.NewHost(swarm.Config{Key: key, Network: network, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Gate: book, Reception: lobby.Reception(network)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if book.Allowed(n.ID()) {
		t.Fatal("it knows the node already")
	}
	addr := h.Addrs()[0].String() + "/p2p/" + self.String()
	if _, err := clientOf(t, n).Ping(t.Context(), addr); err != nil || !book.Allowed(n.ID()) {
		t.Errorf("a member that lags lets in %t: %v", book.Allowed(n.ID()), err)
	}
}
