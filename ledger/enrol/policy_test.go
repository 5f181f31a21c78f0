package enrol

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/folkmoot/folkmoot/ledger"
)

// key is the validator's key number n, and operator the account that speaks for it.
func key(n int) ledger.PublicKey {
	return ledger.PublicKey{byte(n), byte(n >> 8), 1}
}

func operator(n int) ledger.AccountID { return ledger.AccountID{byte(n), byte(n >> 8), 2} }

// claim is by the peer with key n in a seat, which has caught up.
func claim(n, seat int) Claim {
	return Claim{Peer: peer.ID(fmt.Sprint("peer", n)), Seat: seat, Key: key(n), Operator: operator(n), Height: 100, Ready: true}
}

func validators(keys ...int) (list []Validator) {
	for _, n := range keys {
		list = append(list, Validator{key(n), seatPower, operator(n)})
	}
	return list
}

// council is a settled one of some seats, in which key n is in seat n.
func council(seats int) *situation {
	s := &situation{seats: seats, height: 100, inForce: true, book: make(map[ledger.PublicKey]int)}
	for n := range seats {
		s.validators = append(s.validators, validators(n)...)
		s.claims = append(s.claims, claim(n, n))
		s.book[key(n)] = n
	}
	return s
}

// without removes the claim of a seat.
func (s *situation) without(seat int) {
	for i, c := range s.claims {
		if c.Seat == seat {
			s.claims = append(s.claims[:i:i], s.claims[i+1:]...)
			return
		}
	}
}

// TestWhoLagsIsNotCountedOn: it answers, and takes no part in what is decided now.
func TestWhoLagsIsNotCountedOn(t *testing.T) {
	s := council(4)
	s.height = 10_000
	for i := range s.claims {
		s.claims[i].Height = s.height
	}
	s.claims[3].Leaving = true
	if d := decide(s); d.change == nil || d.change.Validator != key(3) {
		t.Fatalf("one leaves of four: %+v, %s", d.change, d.why)
	}
	s.claims[1].Height = s.height - maxBehind - 1
	if d := decide(s); d.change != nil || !strings.Contains(d.why, "2 of 3 of the power") {
		t.Errorf("one leaves of four while another lags: %+v, %s", d.change, d.why)
	}
}

func TestDecide(t *testing.T) {
	in := func(n int) *ledger.SetPower {
		return &ledger.SetPower{Validator: key(n), Power: seatPower, Operator: operator(n)}
	}
	out := func(n int) *ledger.SetPower { return &ledger.SetPower{Validator: key(n), Operator: operator(n)} }
	for name, tt := range map[string]struct {
		seats  int
		change func(*situation)
		want   *ledger.SetPower
		why    string
	}{
		"settled": {4, func(*situation) {}, nil, "nothing to change"},
		"the lowest new seat first": {2, func(s *situation) {
			s.seats = 4
			s.claims = append(s.claims, claim(13, 3), claim(12, 2))
		}, in(12), "caught up"},
		"not before the last is in force": {2, func(s *situation) {
			s.seats, s.inForce = 4, false
			s.claims = append(s.claims, claim(12, 2))
		}, nil, "not in force yet"},
		"not before it has the blocks": {2, func(s *situation) {
			s.seats = 4
			c := claim(12, 2)
			c.Ready = false
			s.claims = append(s.claims, c)
		}, nil, "seat 2 has not caught up"},
		"not when it is far behind": {2, func(s *situation) {
			s.seats, s.height = 4, 100+maxBehind+1
			s.claims = append(s.claims, claim(12, 2))
		}, nil, "seat 2 has not caught up"},
		"not in a seat beyond": {4, func(s *situation) { s.claims = append(s.claims, claim(14, 4)) }, nil, "nothing to change"},
		"not one that leaves": {3, func(s *situation) {
			s.seats = 4
			c := claim(13, 3)
			c.Leaving = true
			s.claims = append(s.claims, c)
		}, nil, "nothing to change"},
		"not when it would cost the quorum": {4, func(s *situation) {
			s.seats = 5
			s.without(1)
			s.without(2)
			s.claims = append(s.claims, claim(14, 4))
		}, nil, "3 of 5 of the power"},
		"a lost volume: the old one goes first": {4, func(s *situation) {
			s.without(2)
			s.claims = append(s.claims, claim(12, 2))
		}, out(2), "is gone, and another has come"},
		"a lost volume: then the new one comes": {4, func(s *situation) {
			s.without(2)
			s.validators = validators(0, 1, 3)
			s.claims = append(s.claims, claim(12, 2))
		}, in(12), "caught up"},
		"a lost volume of the founder": {4, func(s *situation) {
			s.without(0)
			s.claims = append(s.claims, claim(10, 0))
		}, out(0), "seat 0 is gone"},
		"an absent one stays while nobody is in its place": {4, func(s *situation) { s.without(2) }, nil, "nothing to change"},
		"one that is there is not replaced":                {4, func(s *situation) { s.claims = append(s.claims, claim(12, 2)) }, nil, "several claim seat 2"},
		"two for one place": {4, func(s *situation) {
			s.without(2)
			s.claims = append(s.claims, claim(12, 2), claim(22, 2))
		}, nil, "several claim seat 2"},
		"the highest seat beyond goes first": {7, func(s *situation) { s.seats = 4 }, out(6), "beyond the 4"},
		"of those beyond one that is dead goes first": {7, func(s *situation) {
			s.seats = 4
			s.without(5)
		}, out(5), "seat 5 is beyond"},
		"one that leaves": {4, func(s *situation) { s.claims[1].Leaving = true }, out(1), "seat 1 leaves"},
		"none goes when it would cost the quorum": {4, func(s *situation) {
			s.without(0)
			s.claims[0].Leaving = true
		}, nil, "2 of 3 of the power"},
		"the last one stays":                {1, func(s *situation) { s.claims[0].Leaving = true }, nil, "0 of 0 of the power"},
		"others' validators are left alone": {4, func(s *situation) { s.validators = append(s.validators, validators(99)...) }, nil, "nothing to change"},
	} {
		t.Run(name, func(t *testing.T) {
			s := council(tt.seats)
			tt.change(s)
			d := decide(s)
			if want := (decision{change: tt.want}); !d.equal(&want) || !strings.Contains(d.why, tt.why) {
				t.Errorf("got %+v, %s; want %+v, %s", d.change, d.why, tt.want, tt.why)
			}
		})
	}
}

// TestTheQuorumIsNeverLost: whatever comes, goes, is lost and is wanted, and whatever each knows of it, no change is decided after which those who vote have two thirds of the power or less; and what is
// decided does not depend on the order of claims.
func TestTheQuorumIsNeverLost(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 20_000 {
		s := randomSituation(rng)
		d := decide(s)
		rng.Shuffle(len(s.claims), func(i, j int) { s.claims[i], s.claims[j] = s.claims[j], s.claims[i] })
		if again := decide(s); !d.equal(&again) {
			t.Fatalf("seed %d: %+v, and in another order %+v", seed, d.change, again.change)
		}
		if d.change == nil {
			continue
		}
		if !s.inForce {
			t.Fatalf("seed %d: %+v before the last change is in force", seed, d.change)
		}
		if live, total := after(s, d.change); 3*live <= 2*total {
			t.Fatalf("seed %d: %+v leaves %d of %d", seed, d.change, live, total)
		}
	}
}

func randomSituation(rng *rand.Rand) *situation {
	s := council(1 + rng.IntN(7))
	s.seats, s.inForce = 1+rng.IntN(7), rng.IntN(5) > 0
	for i := range s.claims {
		s.claims[i].Ready, s.claims[i].Leaving = rng.IntN(6) > 0, rng.IntN(6) == 0
	}
	for range rng.IntN(3) {
		s.without(rng.IntN(7))
	}
	for range rng.IntN(4) {
		c := claim(10+rng.IntN(10), rng.IntN(8))
		c.Ready = rng.IntN(4) > 0
		s.claims = append(s.claims, c)
	}
	return s
}

// after returns who votes of how many when a change is made, reckoned apart from the policy.
func after(s *situation, change *ledger.SetPower) (live, total uint64) {
	powers := map[ledger.PublicKey]uint64{}
	for _, v := range s.validators {
		powers[v.Key] = v.Power
	}
	powers[change.Validator] = change.Power
	for k, p := range powers {
		total += p
		for _, c := range s.claims {
			if c.Key == k && c.Ready {
				live += p
				break
			}
		}
	}
	return live, total
}

func TestProposer(t *testing.T) {
	s := council(4)
	if !proposer(s, key(0)) || proposer(s, key(1)) {
		t.Error("the lowest seat proposes, and no other")
	}
	s.without(0)
	if !proposer(s, key(1)) || proposer(s, key(0)) {
		t.Error("without it the next one does")
	}
}
