package admission

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/folkmoot/folkmoot/ledger"
)

// knows has a book know that third was expelled, with a receipt that proves it, or none yet.
func knows(b *Book, receipt []byte) {
	b.state.Store(&known{height: 9, roster: ledger.Roster{Count: 2}, receipt: receipt, proven: 9, sealed: receipt != nil, members: map[peer.ID]ledger.Member{
		peerOf(self): {}, peerOf(third): {Until: 5000},
	}})
}

// Who was expelled is shown the proof, as soon as there is one and as often as its allowance lasts; nobody else is shown anything.
func TestTheExpelledAreShownTheProof(t *testing.T) {
	b := newBench(t, 1)
	proof := bytes.Repeat([]byte("proof"), MaxReceipt/10)
	knows(b.lobby.cfg.Book, nil)
	go func() {
		time.Sleep(3 * proofPoll)
		knows(b.lobby.cfg.Book, proof)
	}()
	shown := 0
	for i := range 2 * shownBurst / len(proof) {
		v, payload := b.request(peerOf(third), somewhere, presentKind, presentation(nil, 1))
		if v != refusedExpelled || len(payload) > 0 && !bytes.Equal(payload, proof) || i == 0 && len(payload) == 0 {
			t.Fatalf("presentation %d: verdict %d with %d bytes", i, v, len(payload))
		}
		shown += len(payload)
	}
	if shown > shownBurst+shownRate || shown < shownBurst/2 {
		t.Errorf("%d bytes were shown at once, want about %d", shown, shownBurst)
	}
	if v, payload := b.request(peerOf(guest), somewhere, presentKind, presentation(nil, 1)); v != refusedStranger || len(payload) > 0 {
		t.Errorf("a stranger: %d with %d bytes", v, len(payload))
	}
}

// A member that asks who the members are again and again, as if it knew nothing, draws a bounded number of bytes, and others are answered.
func TestQuestionsAboutMembersAreBoundedInBytes(t *testing.T) {
	b := newBench(t, 1)
	proof := bytes.Repeat([]byte("proof"), MaxReceipt/10)
	knows(b.lobby.cfg.Book, proof)
	synctest.Test(t, func(t *testing.T) {
		f := &Follower{cfg: FollowerConfig{Book: b.lobby.cfg.Book}, shown: newShown()}
		drawn := func(by peer.ID, questions int) (n int) {
			t.Helper()
			for range questions {
				answer, err := f.serve(t.Context(), by, rosterRequest(ledger.Roster{}, 0))
				if err != nil {
					t.Fatal(err)
				}
				n += len(answer)
			}
			return n
		}
		if n := drawn("greedy", 1000); n > shownBurst || n < shownBurst-len(proof) {
			t.Errorf("%d bytes at once, want up to %d", n, shownBurst)
		}
		time.Sleep(10 * time.Second)
		if n := drawn("greedy", 1000); n > 10*shownRate || n < 10*shownRate-len(proof) {
			t.Errorf("%d bytes 10 s later, want up to %d", n, 10*shownRate)
		}
		if drawn("modest", 1) != len(proof) {
			t.Error("another pays for it")
		}
		all := 0
		for i := range 100 {
			all += drawn(peer.ID(fmt.Sprint(i)), 4)
		}
		if all > allShownBurst {
			t.Errorf("%d bytes to all at once, want up to %d", all, allShownBurst)
		}
	})
}

// Nothing is asked of a member for a while whose receipt proved nothing.
func TestDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Follower{cfg: FollowerConfig{Book: newBench(t, 1).lobby.cfg.Book, Logger: discard}, shown: newShown()}
		f.adopt("liar", []byte("{}"), 0)
		if !f.doubts.about("liar") || f.doubts.about("honest") {
			t.Error("want doubts about the liar alone")
		}
		for i := range 2 * maxDoubted {
			time.Sleep(time.Millisecond)
			f.doubts.add(peer.ID(fmt.Sprint(i)))
		}
		if n := len(f.doubts.since); n != maxDoubted || f.doubts.about("liar") {
			t.Errorf("%d are remembered", n)
		}
		last := peer.ID(fmt.Sprint(2*maxDoubted - 1))
		if !f.doubts.about(last) {
			t.Error("the last one is forgotten")
		}
		if time.Sleep(doubtTime + time.Second); f.doubts.about(last) {
			t.Error("it is never asked again")
		}
	})
}

// Strangers that present receipts which prove nothing have so many bytes read, whatever they send and wherever they come from.
func TestFloodOfReceipts(t *testing.T) {
	b := newBench(t, 1)
	forged := appendFrame(byte(presentKind), presentation(bytes.Repeat([]byte("{"), 2<<20), 1<<40))
	read, unread, began := 0, 0, time.Now()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	for i := range 90 {
		s := &talk{Reader: bytes.NewReader(forged)}
		from := somewhere
		if i >= 30 {
			from = ma.StringCast(fmt.Sprintf("/ip4/192.0.2.%d/tcp/1", i))
		}
		if err := b.lobby.Receive(t.Context(), peerOf(guest), from, s); err == nil {
			t.Fatal("a forged receipt is believed")
		}
		if s.read < 1<<20 {
			unread++
		}
		read += s.read
		if i == 29 && read > presentedBurst+(2+int(time.Since(began).Seconds()))*presentedRate {
			t.Errorf("%d bytes of one place were read, want about %d", read, presentedBurst)
		}
		runtime.ReadMemStats(&after)
		most = max(most, after.HeapAlloc)
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("90 receipts of 2 MiB in %s: %d turned away unread, %d MiB read; heap before %d, at most %d, after %d MiB", took, unread, read>>20, before.HeapAlloc>>20, most>>20, after.HeapAlloc>>20)
	if bound := allPresentedBurst + (2+int(took.Seconds()))*allPresentedRate; read > bound || unread == 0 {
		t.Errorf("%d bytes were read, %d receipts unread, want at most %d bytes", read, unread, bound)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d bytes are left on the heap", grown)
	}
	if v, _ := b.request(peerOf(guest), somewhere6, askKind, appendAsk(b.invite, b.ledger.network, peerOf(guest), peerOf(self))); v != granted {
		t.Errorf("who has an invite is told %d", v)
	}
}

var (
	discard    = slog.New(slog.DiscardHandler)
	somewhere6 = ma.StringCast("/ip6/2001:db8::1/tcp/1")
)
