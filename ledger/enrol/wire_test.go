package enrol

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/ledger"
)

const (
	alice = peer.ID("alice")
	bob   = peer.ID("bob")
	carol = peer.ID("carol")
)

func newProver(secret string, network byte) *prover {
	return &prover{[]byte(strings.Repeat(secret, MinSecret)), ledger.Hash{network}}
}

// exampleAnswer is one with everything in it.
func exampleAnswer() *answer {
	a := &answer{Claim: claim(7, 3), Book: []entry{{key(1), 0}, {key(2), MaxSeats - 1}}}
	a.Peer, a.Leaving = bob, true
	return a
}

func TestAnswersProveTheSecret(t *testing.T) {
	p := newProver("s", 1)
	n, err := newNonce()
	if err != nil {
		t.Fatal(err)
	}
	got, proven, err := p.readQuestion(alice, bob, p.question(alice, bob, n))
	if err != nil || !proven || got != n {
		t.Fatalf("question: %v, %t", err, proven)
	}
	want := exampleAnswer()
	a, err := p.readAnswer(bob, alice, n, p.answer(bob, alice, n, want))
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("got %+v, %v; want %+v", a, err, want)
	}
}

// TestNothingElseProvesIt: another secret, network, peer or nonce, a question in place of an answer, and each flipped bit.
func TestNothingElseProvesIt(t *testing.T) {
	p := newProver("s", 1)
	n, other := nonce{1}, nonce{2}
	for what, q := range map[string][]byte{
		"another secret":   newProver("x", 1).question(alice, bob, n),
		"another network":  newProver("s", 2).question(alice, bob, n),
		"somebody else's":  p.question(carol, bob, n),
		"to somebody else": p.question(alice, carol, n),
		"the other way":    p.question(bob, alice, n),
	} {
		if _, proven, err := p.readQuestion(alice, bob, q); err != nil || proven {
			t.Errorf("question, %s: proven %t, %v", what, proven, err)
		}
	}
	good := p.answer(bob, alice, n, exampleAnswer())
	for what, a := range map[string][]byte{
		"another secret":   newProver("x", 1).answer(bob, alice, n, exampleAnswer()),
		"another network":  newProver("s", 2).answer(bob, alice, n, exampleAnswer()),
		"somebody else's":  p.answer(carol, alice, n, exampleAnswer()),
		"to somebody else": p.answer(bob, carol, n, exampleAnswer()),
		"an old one":       p.answer(bob, alice, other, exampleAnswer()),
		"a refusal":        {refusal},
		"a question":       p.question(bob, alice, n),
		"nothing":          nil,
		"cut off":          good[:len(good)-1],
	} {
		if _, err := p.readAnswer(bob, alice, n, a); err == nil {
			t.Errorf("answer, %s: taken", what)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := p.readAnswer(bob, alice, n, bad); err == nil {
				t.Fatalf("answer with bit %d of byte %d flipped: taken", bit, i)
			}
		}
	}
}

// FuzzAnswer: whatever is taken for an answer is what encodeAnswer writes, and within its bounds.
func FuzzAnswer(f *testing.F) {
	f.Add(encodeAnswer(exampleAnswer()))
	f.Add(encodeAnswer(&answer{}))
	f.Add([]byte{refusal})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAnswer(data)
		if err != nil {
			return
		}
		if a.Seat >= MaxSeats || a.Height < 0 || len(a.Book) > maxBook {
			t.Errorf("out of bounds: %+v", a)
		}
		if again := encodeAnswer(a); !bytes.Equal(again, data) {
			t.Errorf("%x is written as %x", data, again)
		}
	})
}

// FuzzQuestion: no bytes prove a secret that whoever wrote them does not know, and none makes it panic.
func FuzzQuestion(f *testing.F) {
	p := newProver("s", 1)
	f.Add(newProver("x", 1).question(alice, bob, nonce{1}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, proven, err := p.readQuestion(alice, bob, data); proven || (err == nil) != (len(data) == questionSize) {
			t.Errorf("%x: proven %t, %v", data, proven, err)
		}
		if _, err := p.readAnswer(bob, alice, nonce{1}, data); err == nil {
			t.Errorf("%x is an answer", data)
		}
	})
}

// FuzzBook: a file is read whole or not at all, and within its bounds.
func FuzzBook(f *testing.F) {
	f.Add([]byte(`{"format":1,"seats":[{"key":"` + key(1).String() + `","seat":3}]}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"seats":[{"seat":-1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &book{seats: make(map[ledger.PublicKey]int)}
		if err := b.parse(data); err != nil {
			return
		}
		if len(b.seats) > maxBook {
			t.Errorf("%d seats", len(b.seats))
		}
		for k, seat := range b.seats {
			if seat < 0 || seat >= MaxSeats {
				t.Errorf("%s in seat %d", k, seat)
			}
		}
	})
}

func TestTheBookIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seats.json")
	b, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.learn(entry{key(1), 0}, entry{key(2), 1}, entry{key(1), 5}); err != nil {
		t.Fatal(err)
	}
	again, err := openBook(path)
	if want := map[ledger.PublicKey]int{key(1): 0, key(2): 1}; err != nil || !reflect.DeepEqual(again.seats, want) {
		t.Errorf("read %v, %v; want %v", again.seats, err, want)
	}
	if err := again.keep(func(k ledger.PublicKey) bool { return k == key(2) }); err != nil {
		t.Fatal(err)
	}
	if b, err = openBook(path); err != nil || len(b.seats) != 1 || b.seats[key(2)] != 1 {
		t.Errorf("read %v, %v", b.seats, err)
	}
	var many []entry
	for n := range maxBook + 10 {
		many = append(many, entry{key(1000 + n), n % MaxSeats})
	}
	if err := b.learn(many...); err != nil || len(b.seats) != maxBook {
		t.Errorf("%d seats are remembered, %v; want %d", len(b.seats), err, maxBook)
	}
	if _, err := openBook(path); err != nil {
		t.Errorf("a full book: %v", err)
	}
	if got := len(encodeAnswer(&answer{Book: entriesOf(b.seats)})); got+64 > maxMessage {
		t.Errorf("an answer with a full book has %d bytes, and %d is the limit", got, maxMessage)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openBook(path); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a damaged book: %v", err)
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	l, now := newLimits(), time.Unix(0, 0)
	asked := 0
	for range 100 {
		if l.allow(alice, now) {
			asked++
		}
	}
	if asked != questionsAtOnce || !l.allow(bob, now) || !l.allow(alice, now.Add(time.Second)) {
		t.Errorf("%d questions of one peer at once, want %d, and others' as before", asked, questionsAtOnce)
	}
	for i := range 2 * maxLimited {
		l.allow(peer.ID(string(rune(i))), now)
	}
	if l.peers.Len() > maxLimited {
		t.Errorf("%d peers are counted, want %d at most", l.peers.Len(), maxLimited)
	}
	later := now.Add(2 * time.Minute)
	if l.peers.Sweep(later); l.peers.Len() != 0 || !l.allow(carol, later) {
		t.Errorf("%d peers are counted after a pause", l.peers.Len())
	}
}
