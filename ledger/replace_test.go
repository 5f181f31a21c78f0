package ledger

import (
	"testing"
	"time"
)

// peerOfAccount returns the bytes of the peer id whose key is that of an account of one key.
func peerOfAccount(a *testAccount) string { return MemberOf(a.keys.Keys[0]) }

// A member can't fill the ledger with keys that take the place of one another.
func TestKeysAreReplacedOnceADay(t *testing.T) {
	c, by, rng := council(t, 1)
	keys := []*testAccount{newTestAccount(rng, 1, 1)}
	c.want(Applied, c.run(one(by[0]), &Admit{by[0].id, peerOfAccount(keys[0]), "harbour"}))
	replace := func(want Code) {
		t.Helper()
		old, next := keys[len(keys)-1], newTestAccount(rng, 1, 1)
		c.want(want, c.run([]*testAccount{old, next}, &ReplaceMember{peerOfAccount(old), peerOfAccount(next)}))
		if want == Applied {
			keys = append(keys, next)
		}
	}
	replace(Applied) // who was admitted may at once
	for range 3 {
		replace(ReplacedLately)
		c.pass(ReplacePause - time.Minute)
		replace(ReplacedLately)
		c.pass(time.Minute)
		replace(Applied)
	}
	if n, err := c.begin().countMembers(); err != nil || n != 5 {
		t.Errorf("%d members and former ones after 4 replacements, %v", n, err)
	}
}

// Who takes another key when its expulsion is under way is expelled all the same, by the name of any key that it had.
func TestExpelledWhateverTheKey(t *testing.T) {
	c, by, rng := council(t, 1)
	member := func(a *testAccount) Member {
		t.Helper()
		m, err := c.begin().member(peerOfAccount(a))
		if err != nil || m == nil {
			t.Fatalf("no entry: %v", err)
		}
		return *m
	}
	keys := []*testAccount{newTestAccount(rng, 1, 1)}
	c.want(Applied, c.run(one(by[0]), &Admit{by[0].id, peerOfAccount(keys[0]), "harbour"}))
	for range 3 {
		old, next := keys[len(keys)-1], newTestAccount(rng, 1, 1)
		c.want(Applied, c.run([]*testAccount{old, next}, &ReplaceMember{peerOfAccount(old), peerOfAccount(next)}))
		keys = append(keys, next)
		c.pass(ReplacePause)
	}
	first, last := keys[0], keys[len(keys)-1]
	expel := &Expel{by[0].id, peerOfAccount(first)}
	c.want(Applied, c.run(one(by[0]), expel))
	if m := member(last); m.Until == 0 || m.Name != "harbour" {
		t.Errorf("the present key is of %+v", m)
	}
	c.want(NoMember, c.run(one(by[0]), expel))
	// The first key comes back as a member of its own, and has no more to do with those after it.
	c.want(Applied, c.run(one(by[0]), &Admit{by[0].id, peerOfAccount(first), "again"}))
	if m := member(first); m.Until != 0 || m.Next != "" || m.Since != 0 {
		t.Errorf("who was admitted anew is %+v", m)
	}
	c.want(NoMember, c.run(one(by[0]), &Expel{by[0].id, peerOfAccount(keys[1])}))
	c.want(Applied, c.run(one(by[0]), expel))
}
