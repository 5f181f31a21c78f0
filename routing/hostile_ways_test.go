package routing

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/fault"
	"github.com/folkmoot/folkmoot/pubsub"
	"github.com/folkmoot/folkmoot/routing/swim"
)

// One question never costs more messages than its budget, however many of those that it is passed on to are lost.
func TestRecursiveQuestionsKeepToTheirBudget(t *testing.T) {
	inField(t, 48, 24, func(t *testing.T, f *field) {
		for i, p := range f.peers {
			if i%2 == 1 {
				p.dead = true
				f.wires.Silence(p.addr)
			}
		}
		asker := f.peers[0]
		most := int64(0)
		for i := range 10 {
			to := f.peers[2+2*i].machine.Self()
			for _, budget := range []uint8{1, 2, 5, maxBudget} {
				before := f.calls.Load()
				q := question{Target: [32]byte{byte(i * 25)}, Count: 5, Budget: budget, Patience: uint16(recursivePatience.Milliseconds())}
				if _, err := asker.Recursive.pass(context.Background(), to, &q); err != nil {
					t.Error(err)
				}
				time.Sleep(recursivePatience) // what is under way ends
				spent := f.calls.Load() - before
				if spent > int64(budget) {
					t.Errorf("a question with a budget of %d took %d messages", budget, spent)
				}
				most = max(most, spent)
			}
		}
		if most < 3 {
			t.Errorf("no question was passed on twice: at most %d messages", most)
		}
	})
}

func TestRecursiveFloodsAreRefused(t *testing.T) {
	inField(t, 8, 24, func(t *testing.T, f *field) {
		request, err := encode(&question{Target: [32]byte{1}, Count: 1, Budget: 1, Patience: 100})
		f.must(err)
		taken, refused := 0, 0
		for range 2 * rates[limitQuestions].burst {
			data, err := f.peers[0].Recursive.handle(t.Context(), "flooder", request)
			f.must(err)
			var a recursiveAnswer
			f.must(decode(data, &a))
			if a.Refused {
				refused++
			} else {
				taken++
			}
		}
		if taken != rates[limitQuestions].burst || refused != taken {
			t.Errorf("%d questions are answered at once and %d refused, want %d of each", taken, refused, rates[limitQuestions].burst)
		}
		// What is passed on is bound in all.
		for range maxPassing {
			f.peers[0].Recursive.passing <- struct{}{}
		}
		refused = 0
		for i := range 20 {
			request, err := encode(&question{Target: [32]byte{byte(i * 12)}, Count: 1, Budget: maxBudget, Patience: 100})
			f.must(err)
			data, err := f.peers[0].Recursive.handle(t.Context(), "other", request)
			f.must(err)
			var a recursiveAnswer
			f.must(decode(data, &a))
			if a.Refused {
				refused++
			}
		}
		if refused == 0 {
			t.Error("no question is refused though as many are passed on as may be")
		}
	})
}

// An answer with a claim that nobody signed is no answer, and a refusal is none either, but no offence.
func TestRecursiveAnswersAreChecked(t *testing.T) {
	attack(t, func(t *testing.T, v *victim) {
		_, honest := v.member()
		fresh, err := sealClaim(testKey(t), v.network, swim.Claim{Incarnation: 1})
		if err != nil {
			t.Fatal(err)
		}
		r := &Recursive{finder: finder{m: v.Membership}}
		forged := sealedClaim{swim.Entry{ID: "made up", Incarnation: 1}, fresh.Sealed}
		for name, tt := range map[string]struct {
			answer recursiveAnswer
			err    error
			good   bool
			state  contactState
		}{
			"good":        {recursiveAnswer{Hops: 2, Claims: sealedOf([]*swim.Claim{fresh})}, nil, true, answered},
			"forged":      {recursiveAnswer{Claims: []sealedClaim{forged}}, nil, false, failed},
			"half forged": {recursiveAnswer{Claims: append(sealedOf([]*swim.Claim{fresh}), forged)}, nil, false, failed},
			"refused":     {recursiveAnswer{Refused: true}, nil, false, answered},
			"lost":        {recursiveAnswer{}, context.DeadlineExceeded, false, failed},
		} {
			w := way{r: r, s: v.newSearch([32]byte{}, 5)}
			reply := said{contact: &contact{id: honest.ID, claim: honest}, answer: tt.answer, err: tt.err}
			if good := w.takeIn(&reply); good != tt.good {
				t.Errorf("%s: taken for an answer: %v", name, good)
			}
			if _, i, found := w.s.place(honest.ID); !found || w.s.contacts[i].state != tt.state {
				t.Errorf("%s: the speaker is in another state than %d", name, tt.state)
			}
			if _, _, found := w.s.place("made up"); found {
				t.Errorf("%s: a peer that was made up is believed in", name)
			}
			if tt.good && w.hops != 3 {
				t.Errorf("%s: %d hops, want 3", name, w.hops)
			}
		}
	})
}

func TestBroadcastQuestionsAreChecked(t *testing.T) {
	inField(t, 8, 24, func(t *testing.T, f *field) {
		b, asker := f.peers[0].Broadcast, f.peers[1]
		q := broadcastQuestion{Radius: 5, Asker: asker.Broadcast.self()}
		data, err := encode(&q)
		f.must(err)
		if err := b.check(asker.host.ID(), data); err != nil {
			t.Errorf("a good question: %v", err)
		}
		if err := b.check(f.peers[2].host.ID(), data); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a question in another's name: %v, want invalid", err)
		}
		if err := b.check(asker.host.ID(), data[1:]); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a malformed question: %v, want invalid", err)
		}
		passed := 0
		for range 2 * rates[limitBroadcasts].burst {
			if err := b.check(asker.host.ID(), data); err == nil {
				passed++
			} else if fault.KindOf(err) == fault.Invalid {
				t.Fatalf("who passes on what is too much is blamed: %v", err)
			}
		}
		if passed >= rates[limitBroadcasts].burst {
			t.Errorf("%d more questions of one peer are passed on at once", passed)
		}
		for range 2 * maxUnanswered { // nobody takes them here that fast: what waits is bound
			b.take(pubsub.Message{Author: asker.host.ID(), Data: data})
		}
	})
}

// Only who was asked to answers, for itself, and once.
func TestBroadcastAnswersAreChecked(t *testing.T) {
	inField(t, 8, 24, func(t *testing.T, f *field) {
		b, honest, liar := f.peers[0].Broadcast, f.peers[1], f.peers[2]
		id := questionID{1}
		g := &gathering{answers: make(chan *swim.Claim, maxRadius), from: make(map[peer.ID]bool)}
		f.must(b.begin(id, g))
		defer b.end(id)
		say := func(from *fieldPeer, a broadcastAnswer) error {
			data, err := encode(&a)
			f.must(err)
			_, err = b.handleFound(t.Context(), from.host.ID(), data)
			return err
		}
		own := honest.Broadcast.self()
		f.must(say(liar, broadcastAnswer{id, own}))
		f.must(say(honest, broadcastAnswer{questionID{2}, own}))
		if len(g.answers) != 0 {
			t.Error("an answer for another peer, or to another question, is taken")
		}
		if err := say(honest, broadcastAnswer{id, sealedClaim{own.Entry, liar.Broadcast.self().Sealed}}); err == nil {
			t.Error("a claim that somebody else signed is no offence")
		}
		f.must(say(honest, broadcastAnswer{id, own}))
		f.must(say(honest, broadcastAnswer{id, own}))
		if len(g.answers) != 1 {
			t.Errorf("%d answers are taken, want the one", len(g.answers))
		}
	})
}
