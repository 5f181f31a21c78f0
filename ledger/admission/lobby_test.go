package admission

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

// samplePeer ends the addresses of tests.
var samplePeer = "/p2p/" + peerOf(7).String()

// keyOf returns a key that is the same each time.
func keyOf(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func peerOf(n byte) peer.ID {
	return peer.ID(ledger.MemberOf(ledger.PublicKey(keyOf(n).Public().(ed25519.PublicKey))))
}

// What the network of the tests begins with: one validator, and one member, which is this node.
const (
	self  = 1
	guest = 2
	third = 3
)

func testGenesis(t testing.TB) *ledger.Genesis {
	t.Helper()
	keys := KeySetOf(keyOf(9))
	g := &ledger.Genesis{
		Network: "harbour", Created: time.Unix(1_800_000_000, 0).UTC(), Limits: ledger.DefaultLimits(),
		Validators: []ledger.GenesisValidator{{Key: ledger.PublicKey{1}, Power: 1, Operator: keys.ID()}},
		Members:    []ledger.GenesisMember{{Key: ledger.PublicKey(keyOf(self).Public().(ed25519.PublicKey)), Name: "founder"}},
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	return g
}

// testLedger has invites, and admits with them as the real one does.
type testLedger struct {
	network ledger.Hash

	mu       sync.Mutex
	invites  map[ledger.AccountID]ledger.OpenInvite // guarded by mu
	admitted map[string]bool                        // guarded by mu
	asked    int                                    // guarded by mu; how often something was handed in
}

func (l *testLedger) Invite(account ledger.AccountID) (ledger.OpenInvite, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.invites[account]
	return i, ok, nil
}

func (l *testLedger) Submit(_ context.Context, data []byte) (ledger.Code, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	t, err := ledger.ParseTransaction(data)
	if err != nil {
		return 0, err
	}
	o := t.Operations[0].(*ledger.Admit)
	i := l.invites[o.By]
	switch {
	case l.admitted[o.Member]:
		return ledger.Applied, nil // the same transaction once more
	case i.Left == 0:
		return ledger.InviteUsed, nil
	}
	i.Left--
	l.invites[o.By] = i
	l.admitted[o.Member] = true
	return ledger.Applied, nil
}

func (l *testLedger) Receipt(context.Context) ([]byte, error) { return []byte("receipt"), nil }

// talk is a stream on which a request was sent, and the answer is kept.
type talk struct {
	io.Reader
	answer bytes.Buffer
	read   int
}

func (s *talk) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.read += n
	return n, err
}
func (s *talk) Write(p []byte) (int, error) { return s.answer.Write(p) }
func (s *talk) CloseWrite() error           { return nil }

// bench is a lobby with its ledger.
type bench struct {
	t      testing.TB
	lobby  *Lobby
	ledger *testLedger
	secret Secret
	invite ed25519.PrivateKey
}

func newBench(t testing.TB, uses uint32) *bench {
	t.Helper()
	g := testGenesis(t)
	book, err := OpenBook(BookConfig{Genesis: g, Self: peerOf(self), Path: filepath.Join(t.TempDir(), "members.json")})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, secret: Secret{5}, ledger: &testLedger{network: g.ID(), invites: map[ledger.AccountID]ledger.OpenInvite{}, admitted: map[string]bool{}}}
	b.invite = b.secret.Key(g.ID())
	keys := KeySetOf(b.invite)
	b.ledger.invites[keys.ID()] = ledger.OpenInvite{Uses: uses, Left: uses, Until: time.Now().Add(time.Hour).UnixMilli()}
	b.lobby = NewLobby(LobbyConfig{Genesis: g, Self: peerOf(self), Book: book, Ledger: func() Ledger { return b.ledger }})
	return b
}

var somewhere = ma.StringCast("/ip4/192.0.2.1/tcp/1")

// request makes a request, and returns the verdict with the payload of the answer.
func (b *bench) request(from peer.ID, remote ma.Multiaddr, kind requestKind, payload []byte) (verdict, []byte) {
	b.t.Helper()
	s := &talk{Reader: bytes.NewReader(appendFrame(byte(kind), payload))}
	if err := b.lobby.Receive(b.t.Context(), from, remote, s); err == nil {
		b.t.Fatal("a stranger was let in")
	}
	answer := s.answer.Bytes()
	if len(answer) < frameHead || len(answer) != frameHead+int(answer[1])<<16+int(answer[2])<<8+int(answer[3]) {
		b.t.Fatalf("the answer %x is no frame", answer)
	}
	return verdict(answer[0]), answer[frameHead:]
}

// joinOf returns the transaction that admits a peer, signed by a key.
func joinOf(t testing.TB, network ledger.Hash, member peer.ID, key ed25519.PrivateKey, more ...ledger.Operation) []byte {
	t.Helper()
	keys := KeySetOf(key)
	tx := &ledger.Transaction{Body: ledger.Body{
		ValidUntil: time.Now().Add(time.Minute).UnixMilli(), Operations: append([]ledger.Operation{&ledger.Admit{By: keys.ID(), Member: string(member), Name: "guest"}}, more...),
	}}
	for _, account := range tx.Signers() {
		if err := tx.Sign(network, account, &keys, key); err != nil {
			t.Fatal(err)
		}
	}
	return ledger.AppendTransaction(nil, tx)
}

func TestWhoHasTheSecretIsTold(t *testing.T) {
	b := newBench(t, 1)
	network := b.ledger.network
	v, payload := b.request(peerOf(guest), somewhere, askKind, appendAsk(b.invite, network, peerOf(guest), peerOf(self)))
	o, g, err := parseOffer(payload)
	if v != granted || err != nil || g.ID() != network || o.Left != 1 || o.Members != 1 {
		t.Fatalf("the offer is %d, %+v, %v", v, o, err)
	}
	for why, wrong := range map[string][]byte{
		"of another invite":         appendAsk(keyOf(4), network, peerOf(guest), peerOf(self)),
		"overheard from another":    appendAsk(b.invite, network, peerOf(third), peerOf(self)),
		"meant for another member":  appendAsk(b.invite, network, peerOf(guest), peerOf(third)),
		"of another network":        appendAsk(b.invite, ledger.Hash{1}, peerOf(guest), peerOf(self)),
		"with the public key alone": append([]byte(b.invite.Public().(ed25519.PublicKey)), make([]byte, ed25519.SignatureSize)...),
	} {
		want := refusedStranger
		if why == "of another invite" {
			want = refusedInvite
		}
		if v, payload := b.request(peerOf(guest), somewhere, askKind, wrong); v != want || len(payload) > 0 {
			t.Errorf("%s: %d with %q", why, v, payload)
		}
	}
}

// However often and from wherever it is asked, an invite admits as many as it is for; who was overheard is nobody else.
func TestUsesAreNeverExceeded(t *testing.T) {
	const uses = 3
	b := newBench(t, uses)
	network := b.ledger.network
	first := joinOf(t, network, peerOf(10), b.invite)
	for range 3 { // the same message again: it happens once
		if v, _ := b.request(peerOf(10), somewhere, joinKind, first); v != granted {
			t.Fatalf("joined: %d", v)
		}
	}
	if v, _ := b.request(peerOf(11), somewhere, joinKind, first); v != refusedStranger {
		t.Errorf("another peer comes with an overheard message: %d", v)
	}
	for n := byte(12); n < 20; n++ {
		b.request(peerOf(n), somewhere, joinKind, joinOf(t, network, peerOf(n), b.invite))
	}
	if n := len(b.ledger.admitted); n != uses {
		t.Errorf("%d peers were admitted, want %d", n, uses)
	}
	if v, _ := b.request(peerOf(20), somewhere, joinKind, joinOf(t, network, peerOf(20), b.invite)); v != refusedUsed {
		t.Errorf("after all uses: %d", v)
	}
}

func TestWhatIsNoJoin(t *testing.T) {
	b := newBench(t, 5)
	network, from := b.ledger.network, peerOf(guest)
	keys := KeySetOf(b.invite)
	good := joinOf(t, network, from, b.invite)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	for why, data := range map[string][]byte{
		"signed by another key":  joinOf(t, network, from, keyOf(4)),
		"forged":                 forged,
		"of another network":     joinOf(t, ledger.Hash{1}, from, b.invite),
		"more than an admission": joinOf(t, network, from, b.invite, &ledger.Anchor{By: keys.ID()}),
		"cut off":                good[:len(good)-1],
		"nothing":                {},
	} {
		v, payload := b.request(from, somewhere, joinKind, data)
		if v == granted || v == refusedFailed || len(payload) > 0 {
			t.Errorf("%s: %d", why, v)
		}
	}
	if b.ledger.asked > 0 {
		t.Errorf("%d of these were handed in", b.ledger.asked)
	}
	for why, frame := range map[string][]byte{"too long": {byte(joinKind), 255, 255, 255}, "unknown": {77, 0, 0, 0}, "short": {1}, "an ask of a wrong size": {byte(askKind), 0, 0, 1, 0}} {
		s := &talk{Reader: bytes.NewReader(frame)}
		if err := b.lobby.Receive(t.Context(), from, somewhere, s); err == nil || verdict(s.answer.Bytes()[0]) != refusedMalformed {
			t.Errorf("%s: %v, %x", why, err, s.answer.Bytes())
		}
	}
}

// A receipt that says nothing new is not even read; one that proves nothing changes nothing.
func TestForgedReceipts(t *testing.T) {
	b := newBench(t, 1)
	big := bytes.Repeat([]byte("{"), 1<<20)
	for why, c := range map[string]struct {
		height int64
		most   int
	}{"old": {0, frameHead + 8}, "from the future": {1 << 40, frameHead + 8 + len(big)}} {
		s := &talk{Reader: bytes.NewReader(appendFrame(byte(presentKind), presentation(big, c.height)))}
		if err := b.lobby.Receive(t.Context(), peerOf(guest), somewhere, s); err == nil {
			t.Errorf("%s: let in", why)
		}
		if why == "old" && s.read > c.most+1 { // one byte may be read when parting
			t.Errorf("%d bytes of an old receipt were read", s.read)
		}
	}
	if b.lobby.cfg.Book.Allowed(peerOf(guest)) || b.lobby.cfg.Book.Height() != 0 {
		t.Error("a forged receipt was believed")
	}
}

// TestFlood has strangers of many places ask as much as they like: what that costs is bounded in work and memory, and who has an invite still gets in.
func TestFlood(t *testing.T) {
	b := newBench(t, 1)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	forged := appendAsk(keyOf(4), b.ledger.network, peerOf(guest), peerOf(self))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const requests = 20_000
	busy, began := 0, time.Now()
	for range requests {
		place := netip.AddrFrom4([4]byte{10, byte(rng.IntN(256)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		kind, payload := askKind, forged
		if rng.IntN(2) == 0 {
			kind, payload = joinKind, forged
		}
		v, _ := b.request(peerOf(guest), ma.StringCast("/ip4/"+place.String()+"/tcp/1"), kind, payload)
		if v == refusedBusy {
			busy++
		}
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d requests in %s, %s each; %d turned away unread; the heap has grown by %d bytes, %d places are remembered", requests, took, took/requests, busy, grown, b.lobby.places.Len())
	if most := allPerSecond * (2 + int(took.Seconds())); requests-busy > most {
		t.Errorf("%d requests were looked at in %s, at most %d may be", requests-busy, took, most)
	}
	if b.lobby.places.Len() > maxPlaces || grown > 8<<20 {
		t.Errorf("%d places are remembered, and the heap has grown by %d bytes", b.lobby.places.Len(), grown)
	}
	b.lobby.places.Sweep(time.Now().Add(2 * time.Minute))
	deadline := time.Now().Add(5 * time.Second)
	for {
		v, _ := b.request(peerOf(guest), somewhere, askKind, appendAsk(b.invite, b.ledger.network, peerOf(guest), peerOf(self)))
		if v == granted {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the flood: %d", v)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestVerdictsHaveTheirWords(t *testing.T) {
	texts := map[string]bool{}
	for v := granted + 1; v < numVerdicts; v++ {
		err := v.err(peerOf(self))
		if err == nil || fault.KindOf(err) == fault.Internal || texts[err.Error()] {
			t.Errorf("verdict %d: %v", v, err)
		}
		texts[err.Error()] = true
	}
}

func TestBookKeepsWhatItKnows(t *testing.T) {
	g, path := testGenesis(t), filepath.Join(t.TempDir(), "members.json")
	open := func() *Book {
		b, err := OpenBook(BookConfig{Genesis: g, Self: peerOf(self), Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	if !b.Allowed(peerOf(self)) || b.Allowed(peerOf(guest)) {
		t.Fatal("it does not begin with the members of the genesis")
	}
	changed := b.Changed()
	b.Learn(map[string]ledger.Member{string(peerOf(self)): {}, string(peerOf(guest)): {Name: "g"}, string(peerOf(third)): {Until: 5000}}, ledger.Roster{Count: 3, Digest: ledger.Hash{1}}, 10)
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	b.Learn(map[string]ledger.Member{}, ledger.Roster{Digest: ledger.Hash{2}}, 9) // an older block
	for _, b := range []*Book{b, open()} {
		until, former := b.Former(peerOf(third))
		if !b.Allowed(peerOf(guest)) || b.Allowed(peerOf(third)) || !former || until.UnixMilli() != 5000 || b.Height() != 10 {
			t.Errorf("it knows %+v", b.state.Load())
		}
		if err := b.AdmitPeer(peerOf(third), somewhere, 0); fault.KindOf(err) != fault.Forbidden || err == nil {
			t.Errorf("an expelled peer: %v", err)
		}
	}
	if err := b.Adopt([]byte("{}")); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("nothing is a receipt: %v", err)
	}
}

func FuzzBook(f *testing.F) {
	f.Add([]byte(`{"format":1,"members":{"` + peerOf(1).String() + `":{"until":1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseBook(data, ledger.Hash{}); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v is of kind %v", err, fault.KindOf(err))
		}
	})
}

// FuzzRequest has a stranger say anything in the lobby.
func FuzzRequest(f *testing.F) {
	b := newBench(f, 1)
	f.Add(appendFrame(byte(askKind), appendAsk(b.invite, b.ledger.network, peerOf(guest), peerOf(self))))
	f.Add(appendFrame(byte(joinKind), joinOf(f, b.ledger.network, peerOf(guest), b.invite)))
	f.Add(appendFrame(byte(presentKind), presentation([]byte("{}"), 7)))
	f.Fuzz(func(t *testing.T, data []byte) {
		lobby := NewLobby(b.lobby.cfg)
		s := &talk{Reader: bytes.NewReader(data)}
		if err := lobby.Receive(context.Background(), peerOf(third), somewhere, s); err == nil {
			t.Errorf("%x lets a stranger in", data)
		}
		if s.answer.Len() < frameHead {
			t.Errorf("%x is answered %x", data, s.answer.Bytes())
		}
	})
}

// FuzzAnswer has a member answer anything.
func FuzzAnswer(f *testing.F) {
	offer, _ := json.Marshal(Offer{Note: "n"})
	f.Add(appendFrame(byte(granted), offer))
	f.Add(appendFrame(byte(refusedBusy), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, payload, err := exchange(&talk{Reader: bytes.NewReader(data)}, askKind, nil)
		if err == nil && v == granted {
			_, _, _ = parseOffer(payload)
		}
		_, _, _ = parseRosterRequest(data)
	})
}
