package admission

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/internal/allowance"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/swarm"
)

// How many requests one place may make a second and at once, and how many all together.
const (
	requestsPerSecond = 2
	requestsAtOnce    = 20
	allPerSecond      = 100
	// maxPlaces is the most places that are counted apart.
	maxPlaces = 4096
	// maxPresented is how many receipts are read at once: each may take some megabytes.
	maxPresented = 4
	// presentedRate and presentedBurst bound the bytes of the receipts that are read of one place, a second and at once, allPresentedRate and allPresentedBurst those of all places.
	presentedRate     = 1 << 20
	presentedBurst    = 2 * (8 + MaxReceipt)
	allPresentedRate  = 4 << 20
	allPresentedBurst = maxPresented * (8 + MaxReceipt)
	// expelledTime is how long an expelled peer is kept waiting for the proof, which there is a block after it.
	expelledTime = 5 * time.Second
	// partingTime is how long a stranger may take to read what it was told.
	partingTime = 3 * time.Second
)

// Ledger is the node's copy of the ledger, as the lobby needs it.
type Ledger interface {
	// Invite returns the invite of an account; false: there is none.
	Invite(account ledger.AccountID) (ledger.OpenInvite, bool, error)
	// Submit hands in a transaction and waits until it is in a block. The code says what became of it there, or would become of it.
	Submit(ctx context.Context, transaction []byte) (ledger.Code, error)
	// Receipt returns the encoded proof of who the members are now.
	Receipt(ctx context.Context) ([]byte, error)
}

// LobbyConfig configures a Lobby.
type LobbyConfig struct {
	Genesis *ledger.Genesis
	Self    peer.ID
	Book    *Book
	// Ledger returns the node's copy, nil while it has none that goes on.
	Ledger func() Ledger
	// Logger may be nil.
	Logger *slog.Logger
}

// Lobby is how far strangers get.
type Lobby struct {
	cfg       LobbyConfig
	network   ledger.Hash
	presented chan struct{} // one element for each receipt that is read
	// desk is who answers in the place of this node, which has no ledger; nil: nobody.
	desk atomic.Pointer[desk]

	all       *rate.Limiter
	places    *allowance.Each[netip.Prefix]
	allBytes  *rate.Limiter
	placeRead *allowance.Each[netip.Prefix] // bytes of receipts
	shown     *shown
}

// NewLobby returns a lobby.
func NewLobby(cfg LobbyConfig) *Lobby {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lobby{
		cfg: cfg, network: cfg.Genesis.ID(), presented: make(chan struct{}, maxPresented), shown: newShown(),
		all: rate.NewLimiter(allPerSecond, allPerSecond), places: allowance.New[netip.Prefix](requestsPerSecond, requestsAtOnce, maxPlaces),
		allBytes: rate.NewLimiter(allPresentedRate, allPresentedBurst), placeRead: allowance.New[netip.Prefix](presentedRate, presentedBurst, maxPlaces),
	}
}

// Reception returns the lobby for the host of a network.
func (l *Lobby) Reception(n swarm.NetworkID) *swarm.Reception {
	return &swarm.Reception{Protocol: LobbyProtocol(n), Receive: l.Receive}
}

// Receive answers one request. It returns nil for who has shown that it is a member.
func (l *Lobby) Receive(ctx context.Context, from peer.ID, remote ma.Multiaddr, s swarm.Talk) error {
	v, payload := l.answer(ctx, from, remote, s)
	if _, err := s.Write(appendFrame(byte(v), payload)); err != nil {
		return err
	}
	if v == granted && l.cfg.Book.Allowed(from) && payload == nil {
		return nil
	}
	_ = s.CloseWrite()
	part(ctx, s)
	if v == granted {
		return fault.New(fault.Forbidden, "answered, and is to come again")
	}
	return v.err(l.cfg.Self)
}

// part waits until the other side has read what it was told, and closed the stream: a connection that is closed before may lose it.
func part(ctx context.Context, s swarm.Talk) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [1]byte
		_, _ = s.Read(b[:])
	}()
	timer := time.NewTimer(partingTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		<-done // the stream is reset
	case <-timer.C:
		if r, ok := s.(interface{ Reset() error }); ok {
			_ = r.Reset()
		}
		<-done
	}
}

func (l *Lobby) answer(ctx context.Context, from peer.ID, remote ma.Multiaddr, s swarm.Talk) (verdict, []byte) {
	if !l.allow(swarm.PlaceOf(remote), time.Now()) {
		return refusedBusy, nil
	}
	first, n, err := readHead(s)
	if err != nil {
		return refusedMalformed, nil
	}
	switch kind := requestKind(first); {
	case kind == askKind && n == askSize:
		return l.ask(ctx, from, s)
	case kind == joinKind && n <= maxJoin:
		return l.join(ctx, from, s, n)
	case kind == presentKind && n >= 8 && n <= 8+MaxReceipt:
		return l.present(ctx, from, swarm.PlaceOf(remote), s, n)
	}
	return refusedMalformed, nil
}

// allow tells whether somebody of a place may make one more request now, and counts it.
func (l *Lobby) allow(place netip.Prefix, now time.Time) bool {
	return l.places.Allow(place, now) && l.all.AllowN(now, 1)
}

// invite returns the invite of an account, if it still admits somebody.
func (l *Lobby) invite(account ledger.AccountID, now time.Time) (ledger.OpenInvite, verdict) {
	own := l.cfg.Ledger()
	if own == nil {
		return ledger.OpenInvite{}, refusedLedger
	}
	i, ok, err := own.Invite(account)
	switch {
	case err != nil:
		return i, refusedLedger
	case !ok:
		return i, refusedInvite
	case i.Until <= now.UnixMilli():
		return i, refusedExpired
	case i.Left == 0:
		return i, refusedUsed
	}
	return i, granted
}

// ask tells what an invite is to. Who does not have its secret learns nothing, and costs one check of a signature.
func (l *Lobby) ask(ctx context.Context, from peer.ID, s swarm.Talk) (verdict, []byte) {
	data, err := readExactly(s, askSize)
	if err != nil {
		return refusedMalformed, nil
	}
	account, ok := parseAsk(l.network, from, l.cfg.Self, data)
	if !ok {
		return l.strange(from), nil
	}
	if d := l.elsewhere(); d != nil {
		return d.passOn(ctx, from, askKind, data)
	}
	return l.offer(account)
}

// elsewhere returns who answers in the place of this node, where it has no ledger.
func (l *Lobby) elsewhere() *desk {
	if l.cfg.Ledger() != nil {
		return nil
	}
	return l.desk.Load()
}

// offer says what the invite of an account is to.
func (l *Lobby) offer(account ledger.AccountID) (verdict, []byte) {
	i, v := l.invite(account, time.Now())
	if v != granted {
		return v, nil
	}
	genesis, err := json.Marshal(l.cfg.Genesis)
	if err != nil {
		return refusedFailed, nil
	}
	offer := Offer{Genesis: genesis, Left: i.Left, Until: i.Until, Inviter: i.By, Note: i.Note}
	members, _ := l.cfg.Book.Members()
	for _, m := range members {
		if m.Until == 0 {
			offer.Members++
		}
	}
	payload, err := json.Marshal(offer)
	if err != nil {
		return refusedFailed, nil
	}
	return granted, payload
}

// strange says what a peer is that has nothing to show.
func (l *Lobby) strange(p peer.ID) verdict {
	if _, former := l.cfg.Book.Former(p); former {
		return refusedExpelled
	}
	return refusedStranger
}

// join brings the transaction that admits a peer into a block. The ledger decides; what it can't but refuse is not handed in.
func (l *Lobby) join(ctx context.Context, from peer.ID, s swarm.Talk, n int) (verdict, []byte) {
	data, err := readExactly(s, n)
	if err != nil {
		return refusedMalformed, nil
	}
	t, o := parseJoin(l.network, from, data)
	if t == nil {
		return l.strange(from), nil
	}
	d := l.elsewhere()
	if d == nil {
		return l.admit(ctx, from, o, data)
	}
	v, proof := d.passOn(ctx, from, joinKind, data)
	if v == granted {
		if err := l.cfg.Book.Adopt(proof); err != nil { // the stranger tries others, and so finds the one that tells the truth
			l.cfg.Logger.Warn("a member with the ledger has shown a receipt that proves nothing", "error", err)
			return refusedFailed, nil
		}
	}
	return v, proof
}

// admit hands in the transaction that admits a peer, and returns the proof that it is a member.
func (l *Lobby) admit(ctx context.Context, from peer.ID, o *ledger.Admit, transaction []byte) (verdict, []byte) {
	_, v := l.invite(o.By, time.Now())
	if (v == granted || v == refusedUsed) && l.cfg.Book.Allowed(from) { // by its first request, whose answer was lost or too late
		return l.admitted(ctx, from)
	}
	if v != granted {
		return v, nil
	}
	own := l.cfg.Ledger()
	if own == nil {
		return refusedLedger, nil
	}
	code, err := own.Submit(ctx, transaction)
	if v := verdictOf(code, err); v != granted {
		return v, nil
	}
	l.cfg.Logger.Info("a peer was admitted", "peer", from, "name", o.Name)
	proof, err := own.Receipt(ctx)
	if err != nil || len(proof) > maxAnswer {
		return refusedFailed, nil
	}
	return granted, proof
}

// admitted returns the proof that a peer is a member, for one that is.
func (l *Lobby) admitted(ctx context.Context, from peer.ID) (verdict, []byte) {
	proof := l.cfg.Book.awaitProof(ctx)
	if proof == nil || !l.shown.allow(from, len(proof)) {
		return refusedFailed, nil
	}
	return granted, proof
}

// verdictOf says what the end of a transaction means to who is to be admitted by it.
func verdictOf(code ledger.Code, err error) verdict {
	switch {
	case code == ledger.NoInvite:
		return refusedInvite
	case code == ledger.InviteExpired:
		return refusedExpired
	case code == ledger.InviteUsed:
		return refusedUsed
	case code == ledger.Expelled:
		return refusedExpelled
	case code == ledger.MemberExists:
		return refusedMember
	case err != nil || code != ledger.Applied:
		return refusedFailed
	}
	return granted
}

// present looks at a receipt that its bearer is a member. One of a time that this node knows already is not read: this node has turned the peer away knowing better.
func (l *Lobby) present(ctx context.Context, from peer.ID, place netip.Prefix, s swarm.Talk, n int) (verdict, []byte) {
	head, err := readExactly(s, 8)
	if err != nil {
		return refusedMalformed, nil
	}
	if height := binary.BigEndian.Uint64(head); height <= uint64(l.cfg.Book.Height()) || height > 1<<62 {
		return l.turnAway(ctx, from)
	}
	if v := l.readReceipt(from, place, s, n-len(head)); v != granted {
		return v, nil
	}
	if !l.cfg.Book.Allowed(from) {
		return l.turnAway(ctx, from)
	}
	return granted, nil
}

// readReceipt reads a receipt and adopts it, as long as not too much is read already.
func (l *Lobby) readReceipt(from peer.ID, place netip.Prefix, s swarm.Talk, n int) verdict {
	select {
	case l.presented <- struct{}{}:
		defer func() { <-l.presented }()
	default:
		return refusedBusy
	}
	if now := time.Now(); !l.placeRead.AllowN(place, now, n) || !l.allBytes.AllowN(now, n) {
		return refusedBusy
	}
	data, err := readExactly(s, n)
	if err != nil {
		return refusedMalformed
	}
	if err := l.cfg.Book.Adopt(data); err != nil {
		l.cfg.Logger.Debug("a stranger's receipt proves nothing", "peer", from, "error", err)
		return refusedMalformed
	}
	return granted
}

// turnAway tells one that is no member so, and one that was expelled with the proof: it believes nothing less.
func (l *Lobby) turnAway(ctx context.Context, from peer.ID) (verdict, []byte) {
	v := l.strange(from)
	if v != refusedExpelled {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(ctx, expelledTime)
	defer cancel()
	proof := l.cfg.Book.awaitProof(ctx)
	if !l.shown.allow(from, len(proof)) {
		proof = nil
	}
	return v, proof
}
