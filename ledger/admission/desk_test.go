package admission

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
)

// testChain is a testLedger of a node that follows it.
type testChain struct{ *testLedger }

func (testChain) Moved() <-chan struct{}         { return nil }
func (testChain) Roster() (ledger.Roster, error) { return ledger.Roster{}, nil }
func (testChain) Members() (map[string]ledger.Member, ledger.Roster, int64, error) {
	return nil, ledger.Roster{}, 0, nil
}

// keeper is a member with the ledger of a bench, whose own lobby has none: what a stranger is told comes through the door, and the keeper is not reached otherwise.
func (b *bench) keeper(door host.Host) (stop func()) {
	t := b.t.(*testing.T)
	t.Helper()
	network := swarm.NetworkID(b.ledger.network)
	book, err := OpenBook(BookConfig{Genesis: b.lobby.cfg.Genesis, Self: peerOf(third), Path: filepath.Join(t.TempDir(), "members.json")})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Book{book, b.lobby.cfg.Book} {
		k.Learn(map[string]ledger.Member{string(peerOf(self)): {}, string(peerOf(third)): {}}, ledger.Roster{Count: 2}, 1)
	}
	lobby := NewLobby(LobbyConfig{Genesis: b.lobby.cfg.Genesis, Self: peerOf(third), Book: book, Ledger: func() Ledger { return b.ledger }})
	h, err := swarm.NewHost(swarm.Config{Key: identity(t, third), Network: network, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Gate: book, Reception: lobby.Reception(network)})
	if err != nil {
		t.Fatal(err)
	}
	var parts []*Follower
	for _, cfg := range []FollowerConfig{{Host: h, Book: book, Chain: testChain{b.ledger}, Lobby: lobby}, {Host: door, Book: b.lobby.cfg.Book, Lobby: b.lobby}} {
		cfg.Network = network
		f, err := Follow(cfg)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, f)
	}
	if err := door.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range parts {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		h.Close()
	})
	return func() { h.Close() }
}

// TestDesk: the only member that a stranger reaches keeps no ledger, and has another answer.
func TestDesk(t *testing.T) {
	b := newBench(t, 1)
	b.lobby.cfg.Ledger = func() Ledger { return nil }
	door := b.door()
	if _, err := visit(t, b.line(door)).Ask(t.Context()); fault.KindOf(err) != fault.Unavailable || err == nil {
		t.Errorf("nobody has the ledger: %v", err)
	}
	stop := b.keeper(door)
	v := visit(t, b.line(door))
	inv, err := v.Ask(t.Context())
	if err != nil || inv.Genesis.ID() != b.ledger.network || inv.Left != 1 || inv.From != door.ID() {
		t.Fatalf("asked: %+v, %v", inv, err)
	}
	// The door does not believe a receipt because a member sends it, either.
	if _, err := v.Join(t.Context(), inv, "guest"); fault.KindOf(err) != fault.Unavailable || err == nil {
		t.Errorf("a receipt that proves nothing: %v", err)
	}
	if !b.ledger.admitted[string(peerOf(guest))] || len(b.ledger.admitted) != 1 {
		t.Errorf("admitted: %v", b.ledger.admitted)
	}
	if _, err := visit(t, b.line(door)).Ask(t.Context()); fault.KindOf(err) != fault.Conflict || err == nil {
		t.Errorf("used up: %v", err)
	}
	stop()
	if _, err := visit(t, b.line(door)).Ask(t.Context()); fault.KindOf(err) != fault.Unavailable || err == nil {
		t.Errorf("the member with the ledger is gone: %v", err)
	}
}

// TestPassedOnRequests: what is passed on is good only for the stranger who made it, at the door where it was made, and no member passes on without bound.
func TestPassedOnRequests(t *testing.T) {
	b := newBench(t, 2)
	network := b.ledger.network
	b.lobby.cfg.Book.Learn(map[string]ledger.Member{string(peerOf(self)): {}, string(peerOf(third)): {}}, ledger.Roster{Count: 2}, 1)
	d := &desk{cfg: FollowerConfig{Book: b.lobby.cfg.Book, Lobby: b.lobby}, callers: newCallers()}
	serve := func(door peer.ID, request []byte) verdict {
		t.Helper()
		answer, err := d.serve(t.Context(), door, request)
		if err != nil {
			t.Fatal(err)
		}
		return verdict(answer[0])
	}
	ask := appendPassed(peerOf(guest), askKind, appendAsk(b.invite, network, peerOf(guest), peerOf(third)))
	join := joinOf(t, network, peerOf(guest), b.invite)
	for why, c := range map[string]struct {
		door    peer.ID
		request []byte
		want    verdict
	}{
		"by the door where it was made":  {peerOf(third), ask, granted},
		"by another door":                {peerOf(self), ask, refusedStranger},
		"by somebody who is no member":   {peerOf(20), ask, refusedBusy},
		"for another stranger":           {peerOf(third), appendPassed(peerOf(21), askKind, appendAsk(b.invite, network, peerOf(guest), peerOf(third))), refusedStranger},
		"an admission of somebody else":  {peerOf(third), appendPassed(peerOf(21), joinKind, join), refusedStranger},
		"an admission with another key":  {peerOf(third), appendPassed(peerOf(guest), joinKind, joinOf(t, network, peerOf(guest), keyOf(4))), refusedInvite},
		"an admission that is no such":   {peerOf(third), appendPassed(peerOf(guest), joinKind, []byte("hello")), refusedStranger},
		"an admission of who is invited": {peerOf(third), appendPassed(peerOf(guest), joinKind, join), granted},
	} {
		if got := serve(c.door, c.request); got != c.want {
			t.Errorf("%s: verdict %d, want %d", why, got, c.want)
		}
	}
	for range 2 * passedAtOnce {
		serve(peerOf(third), ask)
	}
	if got := serve(peerOf(third), ask); got != refusedBusy {
		t.Errorf("after %d requests at once: verdict %d", 2*passedAtOnce, got)
	}
	if _, err := d.serve(t.Context(), peerOf(self), appendPassed(peerOf(guest), presentKind, nil)); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("a receipt is not passed on: %v", err)
	}
}

// stuckLedger is one in which nothing comes into a block.
type stuckLedger struct{ *testLedger }

func (stuckLedger) Submit(ctx context.Context, _ []byte) (ledger.Code, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// TestDeskGivesUp: nobody waits at the desk for a block for longer than at the door, where the answer is awaited.
func TestDeskGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.lobby.cfg.Ledger = func() Ledger { return stuckLedger{b.ledger} }
		d := &desk{cfg: FollowerConfig{Book: b.lobby.cfg.Book, Lobby: b.lobby}, callers: newCallers()}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		answer, err := d.serve(ctx, peerOf(self), appendPassed(peerOf(guest), joinKind, joinOf(t, b.ledger.network, peerOf(guest), b.invite)))
		if err != nil || verdict(answer[0]) != refusedFailed {
			t.Errorf("answered %x, %v", answer, err)
		}
		if took := time.Since(began); took > passTime {
			t.Errorf("after %s, want %s at most", took, passTime)
		}
	})
}

// TestDeskAfterALostAnswer: who was admitted, and was not told so in time, is shown the proof by the next member that is asked, though the invite is used up since.
func TestDeskAfterALostAnswer(t *testing.T) {
	b := newBench(t, 1)
	d := &desk{cfg: FollowerConfig{Book: b.lobby.cfg.Book, Lobby: b.lobby}, callers: newCallers()}
	serve := func(from byte) (verdict, []byte) {
		t.Helper()
		answer, err := d.serve(t.Context(), peerOf(self), appendPassed(peerOf(from), joinKind, joinOf(t, b.ledger.network, peerOf(from), b.invite)))
		if err != nil {
			t.Fatal(err)
		}
		return verdict(answer[0]), answer[1:]
	}
	if v, _ := serve(guest); v != granted {
		t.Fatalf("verdict %d", v)
	}
	b.lobby.cfg.Book.state.Store(&known{height: 9, roster: ledger.Roster{Count: 2}, receipt: []byte("proof"), proven: 9, sealed: true, members: map[peer.ID]ledger.Member{
		peerOf(self): {}, peerOf(guest): {},
	}})
	if v, proof := serve(guest); v != granted || string(proof) != "proof" {
		t.Errorf("asked once more: verdict %d, %q", v, proof)
	}
	if v, proof := serve(third); v != refusedUsed || len(proof) > 0 {
		t.Errorf("somebody else: verdict %d, %q", v, proof)
	}
}

// FuzzPassed has a member pass on anything.
func FuzzPassed(f *testing.F) {
	b := newBench(f, 1)
	f.Add(appendPassed(peerOf(guest), askKind, appendAsk(b.invite, b.ledger.network, peerOf(guest), peerOf(self))))
	f.Add(appendPassed(peerOf(guest), joinKind, joinOf(f, b.ledger.network, peerOf(guest), b.invite)))
	f.Fuzz(func(t *testing.T, data []byte) {
		from, kind, payload, ok := parsePassed(data)
		if ok && !bytes.Equal(appendPassed(from, kind, payload), data) {
			t.Errorf("%x is read as another request", data)
		}
		d := &desk{cfg: FollowerConfig{Book: b.lobby.cfg.Book, Lobby: b.lobby}, callers: newCallers()}
		answer, err := d.serve(t.Context(), peerOf(self), data)
		if ok != (err == nil) || ok && (len(answer) == 0 || verdict(answer[0]) >= numVerdicts) {
			t.Errorf("%x is answered %x, %v", data, answer, err)
		}
	})
}
