package admission

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
	"github.com/folkmoot/folkmoot/swarm/rpc"
)

func identity(t *testing.T, n byte) crypto.PrivKey {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(keyOf(n))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// door is a member's host with a lobby, reached over loopback.
func (b *bench) door() host.Host {
	t := b.t.(*testing.T)
	t.Helper()
	network := swarm.NetworkID(b.ledger.network)
	h, err := swarm.NewHost(swarm.Config{
		Key: identity(t, self), Network: network, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0"), ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")},
		Gate: b.lobby.cfg.Book, Reception: b.lobby.Reception(network),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// line is that of the bench's invite, with the addresses of a host behind those given.
func (b *bench) line(h host.Host, first ...ma.Multiaddr) *Line {
	b.t.Helper()
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	if err != nil {
		b.t.Fatal(err)
	}
	return &Line{Network: b.ledger.network, Secret: b.secret, Addrs: append(first, addrs...)}
}

func visit(t *testing.T, l *Line) *Visitor {
	t.Helper()
	v, err := NewVisitor(l, identity(t, guest))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// TestVisit goes to a member over the network: what the invite is to, and what comes of it when it is of no use.
func TestVisit(t *testing.T) {
	b := newBench(t, 1)
	h := b.door()
	keys := KeySetOf(b.invite)
	nobody := ma.StringCast("/ip4/127.0.0.1/tcp/1" + samplePeer)
	v := visit(t, b.line(h, nobody)) // the first address answers nothing
	inv, err := v.Ask(t.Context())
	if err != nil || inv.Genesis.ID() != b.ledger.network || inv.Left != 1 || inv.From != h.ID() {
		t.Fatalf("asked: %+v, %v", inv, err)
	}
	// The receipt is not believed because a member sends it.
	if _, err := v.Join(t.Context(), inv, "guest"); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("a receipt that proves nothing: %v", err)
	}
	if n := len(b.ledger.admitted); n != 1 {
		t.Errorf("%d were admitted", n)
	}
	for name, c := range map[string]struct {
		change func(i *ledger.OpenInvite) bool
		want   fault.Kind
		text   string
	}{
		"used up": {func(i *ledger.OpenInvite) bool { i.Left = 0; return true }, fault.Conflict, "used up"},
		"expired": {func(i *ledger.OpenInvite) bool { i.Left, i.Until = 1, 1; return true }, fault.NotFound, "expired"},
		"revoked": {func(*ledger.OpenInvite) bool { return false }, fault.NotFound, "revoked"},
	} {
		i := b.ledger.invites[keys.ID()]
		if keep := c.change(&i); keep {
			b.ledger.mu.Lock()
			b.ledger.invites[keys.ID()] = i
			b.ledger.mu.Unlock()
		} else {
			b.ledger.mu.Lock()
			delete(b.ledger.invites, keys.ID())
			b.ledger.mu.Unlock()
		}
		if _, err := visit(t, b.line(h)).Ask(t.Context()); fault.KindOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		b.ledger.mu.Lock()
		b.ledger.invites[keys.ID()] = ledger.OpenInvite{Uses: 1, Left: 1, Until: time.Now().Add(time.Hour).UnixMilli()}
		b.ledger.mu.Unlock()
	}
	if n := len(h.Network().Peers()); n != 0 {
		t.Errorf("the member's host knows %d visitors", n)
	}
	b.lobby.cfg.Book.Learn(map[string]ledger.Member{string(peerOf(self)): {}, string(peerOf(guest)): {}}, ledger.Roster{Count: 2}, 1)
	if _, err := visit(t, b.line(h)).Ask(t.Context()); !errors.Is(err, ErrMember) {
		t.Errorf("a member asks: %v", err)
	}
}

// TestAdmittedByAnother: the member that admitted the peer could not say so, and the next one takes it for a member.
func TestAdmittedByAnother(t *testing.T) {
	b := newBench(t, 1)
	h := b.door()
	var asked atomic.Int64
	s, err := rpc.NewServer(rpc.ServerConfig{Host: h, Protocol: swarm.NetworkID(b.ledger.network).Protocol(rosterName), Handler: func(context.Context, peer.ID, []byte) ([]byte, error) {
		asked.Add(1)
		return []byte("receipt"), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v := visit(t, b.line(h))
	inv, err := v.Ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.lobby.cfg.Book.Learn(map[string]ledger.Member{string(peerOf(self)): {}, string(peerOf(guest)): {}}, ledger.Roster{Count: 2}, 1)
	if _, err := v.Join(t.Context(), inv, "guest"); asked.Load() != 1 || errors.Is(err, ErrMember) {
		t.Errorf("asked for the receipt %d times: %v", asked.Load(), err)
	}
}

// Who shows another genesis than the line names is found out; so is a line that was made out to another network.
func TestAnotherGenesis(t *testing.T) {
	b := newBench(t, 1)
	other := testGenesis(t)
	other.Salt[0] = 1
	network := b.ledger.network
	b.lobby.cfg.Genesis = other // network stays: it lies
	h := b.door()
	if _, err := visit(t, b.line(h)).Ask(t.Context()); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), other.ID().String()) {
		t.Errorf("another genesis: %v", err)
	}
	l := b.line(h)
	l.Network[0] ^= 1
	began := time.Now()
	if _, err := visit(t, l).Ask(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "another network") {
		t.Errorf("another network: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to find out", took)
	}
	if l.Network == network {
		t.Error("the line was not changed")
	}
}

func TestOffersThatAreNone(t *testing.T) {
	g, err := json.Marshal(testGenesis(t))
	if err != nil {
		t.Fatal(err)
	}
	for why, o := range map[string]Offer{"no genesis": {}, "a long note": {Genesis: g, Note: strings.Repeat("x", ledger.MaxNote+1)}, "another document": {Genesis: json.RawMessage(`{"a":1}`)}} {
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := parseOffer(data); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, _, err := parseOffer(make([]byte, maxOffer+1)); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("too long: %v", err)
	}
}
