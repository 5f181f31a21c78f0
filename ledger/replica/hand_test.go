package replica

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
	"github.com/folkmoot/folkmoot/ledger/consensus/application"
	"github.com/folkmoot/folkmoot/ledger/state"
)

// hand is a replica without an engine: a test makes the blocks by hand, and so in the order that a hostile peer would like.
type hand struct {
	*Replica
	t      *testing.T
	height int64
	salt   uint64
	retain int64 // the block below which the last one said that blocks can go
}

// newHand makes one whose network was made at a time.
func newHand(t *testing.T, created time.Time, limits ledger.Limits) *hand {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := &ledger.Genesis{Network: "test", Created: created.UTC().Truncate(time.Second), Limits: limits, Validators: []ledger.GenesisValidator{{Key: ledger.PublicKey(public), Power: 1}}}
	store, err := state.Open(state.Config{Dir: "state", Network: g.ID(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &Replica{
		cfg: Config{Genesis: g}, network: g.ID(), store: store, wake: make(chan struct{}, 1), paused: make(chan struct{}, 1), pending: make(map[ledger.TransactionID][]*Submission), moved: make(chan struct{}),
	}
	r.metrics = newMetrics(r)
	r.app = application.New(application.Config{Store: store, Genesis: g, Committed: r.committed})
	if _, err := r.app.InitChain(t.Context(), new(abci.RequestInitChain)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var resuming sync.WaitGroup
	resuming.Go(func() { r.resume(ctx) })
	t.Cleanup(func() {
		stop()
		resuming.Wait()
	})
	return &hand{Replica: r, t: t}
}

// anchor makes a transaction of an account, signed with a key that need not be its own.
func (h *hand) anchor(of ledger.AccountID, key ed25519.PrivateKey, until time.Time) *ledger.Transaction {
	h.t.Helper()
	h.salt++
	t := &ledger.Transaction{Body: ledger.Body{ValidUntil: until.UnixMilli(), Salt: h.salt, Operations: []ledger.Operation{&ledger.Anchor{By: of}}}}
	h.sign(t, of, key)
	return t
}

func (h *hand) sign(t *ledger.Transaction, of ledger.AccountID, key ed25519.PrivateKey) {
	h.t.Helper()
	keys := keysOf(key)
	t.Authorizations = nil
	if err := t.Sign(h.network, of, &keys, key); err != nil {
		h.t.Fatal(err)
	}
}

func keysOf(key ed25519.PrivateKey) ledger.KeySet {
	return ledger.KeySet{Threshold: 1, Keys: []ledger.PublicKey{ledger.PublicKey(key.Public().(ed25519.PublicKey))}}
}

// newAccount makes an account of one key.
func newAccount(t *testing.T) (ledger.AccountID, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(key)
	return keys.ID(), key
}

// waits registers a transaction as handed in, checked and passed on.
func (h *hand) waits(t *ledger.Transaction) *Submission {
	h.t.Helper()
	s, err := h.enqueue(&Submission{
		ID: t.ID(h.network), data: ledger.AppendTransaction(nil, t), transaction: t, since: time.Now().UnixMilli(), taken: make(chan struct{}), done: make(chan struct{}),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.next()
	return s
}

func envelope(transactions ...*ledger.Transaction) []byte {
	data := make([][]byte, len(transactions))
	for i, t := range transactions {
		data[i] = ledger.AppendTransaction(nil, t)
	}
	return application.EncodeEnvelope(mathrand.Uint64(), data)
}

// block has the application carry out and commit the next block.
func (h *hand) block(at time.Time, envelopes ...[]byte) {
	h.t.Helper()
	h.height++
	for i, e := range envelopes {
		if r, err := h.app.CheckTx(h.t.Context(), &abci.RequestCheckTx{Tx: e}); err != nil || r.Code != 0 {
			h.t.Logf("envelope %d of block %d is not passed on: %v, %v", i+1, h.height, r, err)
		}
	}
	if _, err := h.app.FinalizeBlock(h.t.Context(), &abci.RequestFinalizeBlock{Height: h.height, Time: at, Hash: []byte{byte(h.height)}, Txs: envelopes}); err != nil {
		h.t.Fatal(err)
	}
	r, err := h.app.Commit(h.t.Context(), new(abci.RequestCommit))
	if err != nil {
		h.t.Fatal(err)
	}
	h.retain = r.RetainHeight
}

// over returns what became of a submission, which must be known.
func (h *hand) over(s *Submission) (Place, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 0)
	defer cancel()
	select {
	case <-s.Done():
		return s.Wait(context.WithoutCancel(ctx))
	default:
		h.t.Fatalf("transaction %s is still waited for", s.ID)
		return Place{}, nil
	}
}

func (h *hand) waiting(s *Submission) bool {
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

// TestForgedAuthorization: a transaction is named by its body. Somebody who puts another's body into a block, signed with keys of their own, must not make its sender believe that it will not happen.
func TestForgedAuthorization(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, annKey := newAccount(t)
	eve, eveKey := newAccount(t)
	now := time.Now()
	pay := h.anchor(ann, annKey, now.Add(10*time.Minute))
	forged := *pay
	h.sign(&forged, ann, eveKey)
	s := h.waits(pay)
	h.block(now, envelope(h.anchor(eve, eveKey, now.Add(10*time.Minute)), &forged))
	if !h.waiting(s) {
		_, err := h.over(s)
		t.Fatalf("what somebody else forged ended the submission: %v", err)
	}
	h.block(now, envelope(pay))
	if place, err := h.over(s); err != nil || place.Height != 2 {
		t.Errorf("%+v, %v", place, err)
	}
}

// TestPassedOverTwice: a transaction for which a block has no room, and which is in it twice, is put into one more envelope and not into two: of several nodes that have it each would double it with each block.
func TestPassedOverTwice(t *testing.T) {
	limits := ledger.DefaultLimits()
	limits.AccountTransactions = 1
	h := newHand(t, time.Now(), limits)
	ann, key := newAccount(t)
	now := time.Now()
	first, second := h.anchor(ann, key, now.Add(10*time.Minute)), h.anchor(ann, key, now.Add(10*time.Minute))
	s := h.waits(second)
	h.block(now, envelope(first, second), envelope(second), envelope(second, second))
	if !h.waiting(s) || len(h.queue) != 1 {
		t.Errorf("it is in the queue %d times", len(h.queue))
	}
}

// TestOldClock: the time of a block is that of the votes for the one before, and of the first block that of the genesis. After a pause it lies back: what is good now is then good too far ahead, and comes
// into the next one.
func TestOldClock(t *testing.T) {
	now := time.Now()
	old := now.Add(-24 * time.Hour)
	h := newHand(t, old, ledger.DefaultLimits())
	ann, key := newAccount(t)
	pay := h.anchor(ann, key, now.Add(10*time.Minute))
	s := h.waits(pay)
	h.block(old, envelope(pay))
	if !h.waiting(s) {
		_, err := h.over(s)
		t.Fatalf("it was given up: %v", err)
	}
	if len(h.queue) != 1 {
		t.Fatal("it is not tried again")
	}
	h.next()
	for range 3 { // and now the validators' clocks are behind: it waits a little each time
		h.block(old, envelope(pay))
		for len(h.next()) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	h.block(now, envelope(pay))
	if place, err := h.over(s); err != nil || place.Height != 5 {
		t.Errorf("%+v, %v", place, err)
	}
	never := h.waits(h.anchor(ann, key, now.Add(2*time.Hour)))
	for range maxEarly {
		h.block(now, envelope(never.transaction))
	}
	if !h.waiting(never) {
		t.Error("it was given up too soon")
	}
	if h.block(now, envelope(never.transaction)); h.waiting(never) {
		t.Error("it is tried for ever")
	}
}

// TestOtherClock: a node whose clock is a little behind passes on what is valid for the longest time that is allowed.
func TestOtherClock(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, key := newAccount(t)
	for ahead, want := range map[time.Duration]uint32{2 * time.Second: 0, 10 * time.Minute: 2} {
		e := envelope(h.anchor(ann, key, time.Now().Add(ledger.MaxWindow+ahead)))
		if r, err := h.app.CheckTx(t.Context(), &abci.RequestCheckTx{Tx: e}); err != nil || r.Code != want {
			t.Errorf("valid for %s more than an hour: %v, %v", ahead, r, err)
		}
	}
}

// TestUseless: an envelope is of use as long as one of its transactions may be in the next block.
func TestUseless(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	of, key := newAccount(t)
	later := time.Now().Add(time.Minute)
	one, two := h.anchor(of, key, later), h.anchor(of, key, later)
	both, first := envelope(one, two), envelope(one)
	if h.app.Useless(both) || h.app.Useless(first) {
		t.Error("what nobody has seen is useless")
	}
	h.block(time.Now(), first)
	if again := envelope(one); !h.app.Useless(again) || h.app.Useless(both) {
		t.Error("what is in a block is of use, or what is not is not")
	}
	h.block(time.Now(), both)
	if !h.app.Useless(both) || !h.app.Useless([]byte("no envelope")) {
		t.Error("what can't come into a block any more is of use")
	}
}

// TestUselessEnvelope: when an envelope is refused because nothing in it is of use, each who waits is told the own reason.
func TestUselessEnvelope(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, annKey := newAccount(t)
	eve, eveKey := newAccount(t)
	now := time.Now()
	there, forged := h.anchor(ann, annKey, now.Add(time.Minute)), h.anchor(ann, eveKey, now.Add(time.Minute))
	late := h.anchor(eve, eveKey, now.Add(-time.Second))
	h.block(now, envelope(there))
	list := []*Submission{h.waits(forged), h.waits(late), h.waits(there)}
	h.sent(list, fault.New(fault.Invalid, "the transaction is refused: useless"))
	if _, err := h.over(list[0]); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("keys of somebody else: %v", err)
	}
	if _, err := h.over(list[1]); fault.KindOf(err) != fault.Invalid || err.Error() == "the transaction is refused: useless" {
		t.Errorf("too late: %v", err)
	}
	if place, err := h.over(list[2]); err != nil || place.Height != 1 {
		t.Errorf("in a block: %v, %v", place, err)
	}
}

// TestAfterTheEnd: what is handed in while a node stops is not waited for.
func TestAfterTheEnd(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, key := newAccount(t)
	h.abandon()
	pay := h.anchor(ann, key, time.Now().Add(time.Minute))
	_, err := h.enqueue(&Submission{ID: pay.ID(h.network), transaction: pay, taken: make(chan struct{}), done: make(chan struct{})})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after the end: %v", err)
	}
}

// TestForgedSubmission: somebody who hands in another's transaction with wrong signatures shares no verdict with it.
func TestForgedSubmission(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, annKey := newAccount(t)
	_, eveKey := newAccount(t)
	pay := h.anchor(ann, annKey, time.Now().Add(time.Minute))
	forged := *pay
	h.sign(&forged, ann, eveKey)
	bad, good, again := h.waits(&forged), h.waits(pay), h.waits(pay)
	if good != again || good == bad {
		t.Fatal("submissions of the same bytes are one, and of others are not")
	}
	h.refuse(fault.New(fault.Invalid, "wrong"), bad)
	if !h.waiting(good) {
		t.Fatal("both were refused")
	}
	h.block(time.Now(), envelope(pay))
	if place, err := h.over(good); err != nil || place.Height != 1 || h.count != 0 || len(h.pending) != 0 {
		t.Errorf("%+v, %v; %d wait", place, err, h.count)
	}
}

// TestLostEnvelope: what other nodes did not take when it was passed on to them is passed on once more.
func TestLostEnvelope(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, key := newAccount(t)
	s := h.waits(h.anchor(ann, key, time.Now().Add(10*time.Minute)))
	h.block(time.Now())
	if len(h.queue) != 0 {
		t.Error("it is passed on at each block")
	}
	s.sent -= 2 * renewTime.Milliseconds()
	h.block(time.Now().Add(2 * sweepTime))
	if len(h.queue) != 1 || len(h.next()) != 1 || !h.waiting(s) {
		t.Error("it is not passed on once more")
	}
}

// TestPendingBytes: what waits is bounded in bytes, too, and room is there again when something is over.
func TestPendingBytes(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, key := newAccount(t)
	large := func() *Submission {
		pay := h.anchor(ann, key, time.Now().Add(time.Minute))
		return &Submission{ID: pay.ID(h.network), transaction: pay, data: make([]byte, maxPendingBytes/2), taken: make(chan struct{}), done: make(chan struct{})}
	}
	var list []*Submission
	for range 2 {
		s, err := h.enqueue(large())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if _, err := h.enqueue(large()); fault.KindOf(err) != fault.Full {
		t.Fatalf("more than %d bytes wait: %v", maxPendingBytes, err)
	}
	h.refuse(fault.New(fault.Invalid, "wrong"), list[0])
	if _, err := h.enqueue(large()); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestPausesEnd: what pauses when a replica stops is forgotten, and what is over meanwhile is not tried again.
func TestPausesEnd(t *testing.T) {
	h := newHand(t, time.Now(), ledger.DefaultLimits())
	ann, key := newAccount(t)
	s := h.waits(h.anchor(ann, key, time.Now().Add(time.Minute)))
	h.mu.Lock()
	s.early = 1
	h.later(s)
	h.mu.Unlock()
	h.refuse(fault.New(fault.Invalid, "wrong"), s)
	for more := true; more; {
		time.Sleep(time.Millisecond)
		h.mu.Lock()
		more = len(h.pauses) > 0
		h.mu.Unlock()
	}
	if list := h.next(); len(list) != 0 {
		t.Error("what is over is tried again")
	}
	s = h.waits(h.anchor(ann, key, time.Now().Add(time.Minute)))
	h.mu.Lock()
	s.early = 1
	h.later(s)
	h.mu.Unlock()
	h.abandon()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pauses) != 0 || len(h.queue) != 0 {
		t.Error("something pauses after the end")
	}
}
