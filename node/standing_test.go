package node_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/admission"
	"github.com/folkmoot/folkmoot/node"
)

// TestMembersSecret: who has the members' secret becomes a member by itself, also after an operator has revoked the invite that the validators keep open, when it is used up, and when it is over; who has another gets nowhere.
func TestMembersSecret(t *testing.T) {
	operator, secret := newSignatory(t), []byte("what all pods of the release know")
	home := t.TempDir()
	g := foundClub(t, home, operator.id)
	cfg := loopback(home)
	cfg.Network = ""
	cfg.Validator = &node.ValidatorConfig{
		Secret: bytes.Repeat([]byte{'s'}, 32), Operator: operator.key, Seats: func(context.Context) (int, error) { return 1, nil }, MembersSecret: secret,
	}
	cfg.Validator.Brisk()
	founder, _ := start(t, cfg)
	keys := admission.KeySetOf(admission.SecretOf(secret).Key(g.ID()))
	decide := func(ops ...ledger.Operation) {
		if code, err := founder.Ledger().Decide(t.Context(), operator.sign(t, g.ID(), ops...)); code != ledger.Applied || err != nil {
			t.Fatalf("%v, %v", code, err)
		}
	}
	for i := range 4 {
		guest := t.TempDir()
		enterBySecret(t, g, founder, guest, secret)
		if member, err := node.IsMember(guest); !member || err != nil {
			t.Fatalf("member: %t, %v", member, err)
		}
		if _, err := visitBySecret(t, g, founder, t.TempDir(), []byte("another secret")).Ask(t.Context()); fault.KindOf(err) != fault.NotFound || err == nil {
			t.Errorf("another secret: %v", err)
		}
		revoke := &ledger.Revoke{By: operator.id, Account: keys.ID()}
		switch i {
		case 0:
			open, ok, err := founder.Ledger().Invite(keys.ID())
			if !ok || err != nil || open.Left != ledger.MaxUses-1 || open.Note == "" {
				t.Errorf("the invite is %+v, %t, %v", open, ok, err)
			}
			decide(revoke)
		case 1: // the next one uses it up
			decide(revoke, &ledger.Invite{By: operator.id, Account: keys.ID(), Uses: 1, Until: time.Now().Add(time.Hour).UnixMilli()})
		case 2:
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			another := func() bool {
				open, ok, err := founder.Ledger().Invite(keys.ID())
				return ok && err == nil && open.Left == ledger.MaxUses
			}
			eventuallyLedger(ctx, t, "another invite in place of the one that is used up", another)
			decide(revoke, &ledger.Invite{By: operator.id, Account: keys.ID(), Uses: ledger.MaxUses / 2, Until: time.Now().Add(2 * time.Second).UnixMilli()})
			eventuallyLedger(ctx, t, "another invite in place of the one that is over", another)
		case 3:
			clubNode(t, guest, founder)
			untilAlive(t, founder, 2)
		}
	}
}

// visitBySecret returns a visitor with the identity of a home.
func visitBySecret(t *testing.T, g *ledger.Genesis, to *node.Node, home string, secret []byte) *admission.Visitor {
	t.Helper()
	key, err := node.Identity(home)
	if err != nil {
		t.Fatal(err)
	}
	v, err := admission.NewVisitor(&admission.Line{Network: g.ID(), Secret: admission.SecretOf(secret), Addrs: doorOf(t, to)}, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func doorOf(t *testing.T, n *node.Node) (addrs []ma.Multiaddr) {
	t.Helper()
	for _, a := range n.Addrs() {
		transport, _ := peer.SplitAddr(a)
		full, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: n.ID(), Addrs: []ma.Multiaddr{transport}})
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, full...)
	}
	return addrs
}

// enterBySecret makes a home a member's as soon as the invite is there.
func enterBySecret(t *testing.T, g *ledger.Genesis, to *node.Node, home string, secret []byte) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		v := visitBySecret(t, g, to, home, secret)
		inv, err := v.Ask(t.Context())
		if fault.KindOf(err) == fault.NotFound && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		proof, err := v.Join(t.Context(), inv, "pod")
		if err == nil {
			_, err = node.JoinMembers(home, g, proof, doorOf(t, to))
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
}
