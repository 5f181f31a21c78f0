package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func power(i int, operator *testAccount, p uint64) Proposal {
	return Proposal{SetPower: &SetPower{testValidator(i), operator.id, p}}
}

// council returns a ledger of validators of the given powers, each with an operator of its own.
func council(t *testing.T, powers ...uint64) (*chain, []*testAccount, *rand.Rand) {
	rng := testRand(t)
	var operators []*testAccount
	for range powers {
		operators = append(operators, newTestAccount(rng, 1, 1))
	}
	return newChain(t, DefaultLimits(), operators, powers...), operators, rng
}

// decide runs a transaction in a block of its own and returns the validators whose power changed, as "key:power".
func (c *chain) decide(want Code, a *testAccount, op Operation) (changed string) {
	c.t.Helper()
	b := c.begin()
	r, err := b.Include(c.tx(one(a), op))
	if err != nil {
		c.t.Fatal(err)
	}
	c.want(want, r.Code)
	for _, v := range c.end(b).Validators {
		changed += fmt.Sprintf("%d:%d ", v.Key[0], v.Power)
	}
	return changed
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMoreThanTwoThirds(t *testing.T) {
	c, by, rng := council(t, 2, 2, 2)
	newcomer := newTestAccount(rng, 1, 1)
	p := power(9, newcomer, 5)
	vote := func(a *testAccount) Operation { return &Vote{a.id, ProposalID(testNetwork, &p)} }
	wantText(t, c.decide(NotOperator, newcomer, &Propose{newcomer.id, p}), "")
	wantText(t, c.decide(NoProposal, by[0], vote(by[0])), "")
	wantText(t, c.decide(Applied, by[0], &Propose{by[0].id, p}), "")
	wantText(t, c.decide(ProposalExists, by[1], &Propose{by[1].id, p}), "")
	wantText(t, c.decide(Voted, by[0], vote(by[0])), "")
	wantText(t, c.decide(NotOperator, newcomer, vote(newcomer)), "")
	wantText(t, c.decide(Applied, by[1], vote(by[1])), "") // two thirds, not more
	wantText(t, c.decide(Applied, by[2], vote(by[2])), "10:5 ")
	wantText(t, c.decide(NoProposal, by[2], vote(by[2])), "")
	// The newcomer counts from then on: 5 of 11.
	q := power(0, by[0], 0)
	wantText(t, c.decide(Applied, newcomer, &Propose{newcomer.id, q}), "")
	wantText(t, c.decide(Applied, by[1], &Vote{by[1].id, ProposalID(testNetwork, &q)}), "")
	wantText(t, c.decide(Applied, by[2], &Vote{by[2].id, ProposalID(testNetwork, &q)}), "1:0 ")
	wantText(t, c.decide(NotOperator, by[0], &Propose{by[0].id, q}), "")
}

// TestVotesCountWhatPowerIsNow: who lost its power after voting does not decide any more.
func TestVotesCountWhatPowerIsNow(t *testing.T) {
	c, by, rng := council(t, 5, 3, 3)
	p := power(9, newTestAccount(rng, 1, 1), 1)
	wantText(t, c.decide(Applied, by[0], &Propose{by[0].id, p}), "")
	b := c.begin()
	if err := b.Misbehaved(testValidator(0)); err != nil {
		t.Fatal(err)
	}
	if o := c.end(b); len(o.Validators) != 1 || o.Validators[0].Power != 0 || len(o.Results) != 0 {
		t.Errorf("%+v", o.Validators)
	}
	wantText(t, c.decide(Applied, by[1], &Vote{by[1].id, ProposalID(testNetwork, &p)}), "")
	wantText(t, c.decide(Applied, by[2], &Vote{by[2].id, ProposalID(testNetwork, &p)}), "10:1 ")
}

// TestVotesBecomeEnough: when others lost their power, those who voted before are enough, and say so again.
func TestVotesBecomeEnough(t *testing.T) {
	c, by, rng := council(t, 5, 3, 3)
	p := power(9, newTestAccount(rng, 1, 1), 1)
	vote := func(a *testAccount) Operation { return &Vote{a.id, ProposalID(testNetwork, &p)} }
	wantText(t, c.decide(Applied, by[1], &Propose{by[1].id, p}), "")
	wantText(t, c.decide(Applied, by[2], vote(by[2])), "")
	wantText(t, c.decide(Voted, by[2], vote(by[2])), "")
	b := c.begin()
	if err := b.Misbehaved(testValidator(0)); err != nil {
		t.Fatal(err)
	}
	c.end(b)
	wantText(t, c.decide(Applied, by[1], vote(by[1])), "10:1 ")
	wantText(t, c.decide(NoProposal, by[1], vote(by[1])), "")
}

func TestProposalsExpire(t *testing.T) {
	c, by, rng := council(t, 1, 1, 1)
	p := power(9, newTestAccount(rng, 1, 1), 1)
	wantText(t, c.decide(Applied, by[0], &Propose{by[0].id, p}), "")
	wantText(t, c.decide(Applied, by[1], &Vote{by[1].id, ProposalID(testNetwork, &p)}), "")
	c.pass(ProposalLife)
	wantText(t, c.decide(NoProposal, by[2], &Vote{by[2].id, ProposalID(testNetwork, &p)}), "")
	wantText(t, c.decide(Applied, by[2], &Propose{by[2].id, p}), "") // anew
	wantText(t, c.decide(Applied, by[0], &Vote{by[0].id, ProposalID(testNetwork, &p)}), "")
}

// TestProposalsEndInTime votes in the last millisecond of a proposal, and in the first after it.
func TestProposalsEndInTime(t *testing.T) {
	for last, want := range map[int64]Code{-1: Applied, 0: NoProposal} {
		c, by, rng := council(t, 1, 1, 1)
		p := power(9, newTestAccount(rng, 1, 1), 1)
		wantText(t, c.decide(Applied, by[0], &Propose{by[0].id, p}), "")
		c.now += ProposalLife.Milliseconds() + last - 1000 // the block will be a second later
		wantText(t, c.decide(want, by[1], &Vote{by[1].id, ProposalID(testNetwork, &p)}), "")
	}
}

func TestProposalsAreBounded(t *testing.T) {
	powers := make([]uint64, 10)
	for i := range powers {
		powers[i] = 1
	}
	c, by, rng := council(t, powers...)
	newcomer := newTestAccount(rng, 1, 1)
	open := 0
	for i, a := range by {
		for j := range MaxProposalsEach + 1 {
			want := Applied
			if j == MaxProposalsEach || open == MaxProposals {
				want = TooManyProposals
			} else {
				open++
			}
			wantText(t, c.decide(want, a, &Propose{a.id, power(20, newcomer, uint64(1+i*100+j))}), "")
		}
	}
	if open != MaxProposals {
		t.Errorf("%d proposals were open", open)
	}
	c.pass(ProposalLife)
	wantText(t, c.decide(Applied, by[9], &Propose{by[9].id, power(20, newcomer, 7777)}), "")
	n := 0
	c.state.Ascend(Proposals(), func(_, _ []byte) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d proposals are kept", n)
	}
}

func TestValidatorsAreBounded(t *testing.T) {
	c, by, _ := council(t, 10)
	a := by[0]
	wantText(t, c.decide(LastValidator, a, &Propose{a.id, power(0, a, 0)}), "")
	wantText(t, c.decide(NoValidator, a, &Propose{a.id, power(1, a, 0)}), "")
	wantText(t, c.decide(TooMuchPower, a, &Propose{a.id, power(1, a, MaxPower-9)}), "")
	wantText(t, c.decide(Applied, a, &Propose{a.id, power(0, a, MaxPower)}), fmt.Sprintf("1:%d ", uint64(MaxPower)))
	wantText(t, c.decide(Applied, a, &Propose{a.id, power(0, a, 10)}), "1:10 ")
	wantText(t, c.decide(Applied, a, &Propose{a.id, power(0, a, 10)}), "")
	for i := 1; i < MaxValidators; i++ {
		var key PublicKey
		key[0], key[1] = 0xff, byte(i)
		b := c.begin()
		if _, err := b.Include(c.tx(one(a), &Propose{a.id, Proposal{SetPower: &SetPower{key, a.id, 1}}})); err != nil {
			t.Fatal(err)
		}
		c.end(b)
	}
	wantText(t, c.decide(TooManyValidators, a, &Propose{a.id, power(1, a, 1)}), "")
	wantText(t, c.decide(Applied, a, &Propose{a.id, power(0, a, 11)}), "1:11 ")
}

func TestMisbehaviourNeverTakesTheLast(t *testing.T) {
	c, _, _ := council(t, 1, 1)
	b := c.begin()
	for _, i := range []int{7, 0, 0, 1} {
		if err := b.Misbehaved(testValidator(i)); err != nil {
			t.Fatal(err)
		}
	}
	if o := c.end(b); len(o.Validators) != 1 || o.Validators[0] != (ValidatorPower{testValidator(0), 0}) {
		t.Errorf("%+v", o.Validators)
	}
}

func TestRulesAreActivated(t *testing.T) {
	c, by, _ := council(t, 1)
	a := by[0]
	rules := func(version uint32, height int64) Operation {
		return &Propose{a.id, Proposal{ActivateRules: &ActivateRules{version, height}}}
	}
	wantText(t, c.decide(LateRules, a, rules(1, c.height+100)), "")
	wantText(t, c.decide(LateRules, a, rules(2, c.height+1)), "") // the present block
	wantText(t, c.decide(Applied, a, rules(2, c.height+100)), "")
	wantText(t, c.decide(Applied, a, rules(3, c.height+50)), "") // instead
	var r Rules
	if err := r.Unmarshal(c.state.entries[string(RulesKey())]); err != nil {
		t.Fatal(err)
	}
	if got := []uint32{r.At(c.height), r.At(r.Height - 1), r.At(r.Height)}; got[0] != 1 || got[1] != 1 || got[2] != 3 {
		t.Errorf("versions %v", got)
	}
	c.pass(time.Hour)
}
